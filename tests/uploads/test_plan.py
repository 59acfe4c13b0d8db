"""What dtool can name and what fits together, before anything is written."""

from dataclasses import replace

import msgspec
import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.storage.values import Item, Limits
from dserver_signed_url_plugin.uploads.plan import EARLIEST, LATEST, UploadPlan, check_name, is_time

MD5 = "9a0364b9e99bb480dd25e1f0284c8555"


def item(relpath, size=7, md5=MD5, timestamp=1.5):
    return Item(
        generate_identifier(relpath.encode(errors="replace").decode()),
        relpath,
        size,
        md5,
        timestamp,
    )


A, B = item("a.txt"), item("b/ü.txt")
PLAN = UploadPlan(
    uuid="6f9619ff-8b86-4011-b42d-00c04fc964ff",
    name="my-dataset",
    items=(A, B),
    creator_username="alice",
    frozen_at=1700000000.5,
    tags=("red", "v1.0"),
    annotations={"place": {"room": [1, None, "ü"]}},
    overlays={"rating": {A.identifier: 5, B.identifier: None}},
    pinned=True,
)
MANY = [f"n{number}" for number in range(1001)]


def test_a_good_plan_passes():
    PLAN.check()
    UploadPlan(PLAN.uuid, "n").check()


@pytest.mark.parametrize("name", ["a", "A-Z_0.9", "x" * 80, "a.b", ".a"])
def test_what_dtool_calls_a_name_passes(name):
    check_name("name", name)
    replace(PLAN, name=name, tags=(name,)).check()


NO_NAMES = ["", "x" * 81, "a b", "a/b", "ü", "a\n", "a\x00", ".", "..", "../x", "a%2fb"]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("name", lambda name: {"name": name}),
        ("tags", lambda name: {"tags": ("red", name)}),
        ("annotations", lambda name: {"annotations": {name: 1}}),
        ("overlays", lambda name: {"overlays": {name: PLAN.overlays["rating"]}}),
    ],
)
def test_what_dtool_does_not_call_a_name_is_refused(name, field, changed):
    with pytest.raises(InvalidField, match=f"^{field}: ") as refusal:
        replace(PLAN, **changed(name)).check()
    assert refusal.value.details.keys() == {field}


@pytest.mark.parametrize("field", ["annotations", "overlays"])
def test_a_dot_on_which_dtools_listings_break_is_refused(field):
    with pytest.raises(InvalidField, match=f"^{field}: 'a.b' has a dot"):
        replace(PLAN, **{field: {"a.b": PLAN.overlays["rating"]}}).check()


@pytest.mark.parametrize(
    "name", ["", " alice", "alice ", "a\nb", "a\x00", "a\x7f", "\ud800", "x" * 256]
)
def test_a_creator_that_cannot_be_kept_is_refused(name):
    with pytest.raises(InvalidField, match=r"^creator_username: "):
        replace(PLAN, creator_username=name).check()


@pytest.mark.parametrize("name", [None, "alice", "Jürgen von und zu", "x" * 255])
def test_a_creator_that_can_be_kept_passes(name):
    replace(PLAN, creator_username=name).check()


@pytest.mark.parametrize(
    ("relpath", "reason"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("a//b", "empty, '.' or '..' segment"),
        ("a/", "empty, '.' or '..' segment"),
        (".", "empty, '.' or '..' segment"),
        ("./a", "empty, '.' or '..' segment"),
        ("a/./b", "empty, '.' or '..' segment"),
        ("..", "empty, '.' or '..' segment"),
        ("a/../../b", "empty, '.' or '..' segment"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("a\x7f", "control character"),
        ("a\x85", "control character"),
        ("a\ud800", "control character"),
        ("b/ü.txt", "announced twice"),
        ("..\\a", "on Windows"),
        ("a\\..\\b", "on Windows"),
        ("a/..\\..\\b", "on Windows"),
        ("a\\..", "on Windows"),
        ("a\\.. \\b", "on Windows"),
        ("\\a", "on Windows"),
        ("\\\\server\\share\\a", "on Windows"),
        ("\\\\?\\C:\\a", "on Windows"),
        ("C:\\a", "on Windows"),
        ("c:/a", "on Windows"),
        ("c:", "on Windows"),
        ("c:a", "on Windows"),
        ("1:a", "on Windows"),
        ("data/C:\\a", "on Windows"),
        ("data\\C:", "on Windows"),
    ],
)
def test_a_relpath_that_cannot_be_kept_is_refused_with_its_number(relpath, reason):
    with pytest.raises(InvalidField, match=reason) as refusal:
        replace(PLAN, items=(A, B, item(relpath)), overlays={}).check()
    assert refusal.value.details.keys() == {"items.2.relpath"}


@pytest.mark.parametrize(
    "relpath",
    [
        "a\\b",
        "a\\\\b",
        "a\\...\\b",
        "..a\\b..",
        "data/a:b",
        "data/1:2",
        "12:30.csv",
        "CON",
        "a.",
        "<|>?*",
    ],
)
def test_what_is_odd_on_windows_but_stays_inside_passes(relpath):
    replace(PLAN, items=(A, B, item(relpath)), overlays={}).check()


@pytest.mark.parametrize(
    "relpath", ["a b", "...", "..a", "測定/ü.csv", "100% + 1 & 2?#", "🧪", "'\"\\"]
)
def test_an_awkward_relpath_passes(relpath):
    replace(PLAN, items=(item(relpath),), overlays={}).check()


@pytest.mark.parametrize(("sizes", "passes"), [([2**62, 2**62 - 1], True), ([2**62, 2**62], False)])
def test_sizes_must_sum_into_63_bits(sizes, passes):
    plan = UploadPlan(PLAN.uuid, "n", [item(str(n), size) for n, size in enumerate(sizes)])
    if passes:
        plan.check_sizes(Limits(max_item_bytes=2**63), None, 1)
    else:
        with pytest.raises(InvalidField, match=r"^items: "):
            plan.check_sizes(Limits(max_item_bytes=2**63), None, 1)


@pytest.mark.parametrize("number", [1000, 1001])
def test_tags_annotations_and_overlays_are_a_thousand_at_most(number):
    names = MANY[: number - 2]
    plan = replace(PLAN, tags=names, annotations={"a": 1})
    if number == 1000:
        plan.check()
    else:
        with pytest.raises(InvalidField, match="1000 at most"):
            plan.check()


def test_annotations_that_are_too_large_are_refused():
    replace(PLAN, annotations={"a": "x" * 1_000_000}).check()
    with pytest.raises(InvalidField, match=r"^annotations: are more than 1048576 bytes"):
        replace(PLAN, annotations={"a": "x" * 1_048_576}).check()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"deep": float("-inf")}]])
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises(InvalidField, match=r"^annotations: holds NaN"):
        replace(PLAN, annotations={"a": value}).check()
    with pytest.raises(InvalidField, match=r"^overlays\.rating: holds NaN"):
        replace(PLAN, overlays={"rating": {A.identifier: value, B.identifier: 1}}).check()


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [{"deep": 2**64}]])
def test_a_whole_number_that_64_bits_do_not_hold_is_refused(value):
    with pytest.raises(InvalidField, match=r"^annotations: holds a whole number"):
        replace(PLAN, annotations={"a": value}).check()
    with pytest.raises(InvalidField, match=r"^overlays\.rating: holds a whole number"):
        replace(PLAN, overlays={"rating": {A.identifier: value, B.identifier: 1}}).check()


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1e300, True, "9" * 100])
def test_a_number_that_64_bits_hold_passes(value):
    overlay = {A.identifier: value, B.identifier: [value]}
    replace(PLAN, annotations={"a": value}, overlays={"rating": overlay}).check()


def nested(levels, wrap):
    value = 7
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}])
def test_nesting_ends_at_fifty_levels(wrap):
    overlay = {A.identifier: nested(49, wrap), B.identifier: 1}
    replace(PLAN, annotations={"a": nested(49, wrap)}, overlays={"rating": overlay}).check()
    with pytest.raises(InvalidField, match=r"^annotations: is nested more than 50 levels"):
        replace(PLAN, annotations={"a": nested(50, wrap)}).check()
    with pytest.raises(InvalidField, match=r"^overlays\.rating: is nested more than 50 levels"):
        replace(PLAN, overlays={"rating": {**overlay, A.identifier: nested(50, wrap)}}).check()


@pytest.mark.parametrize(
    ("overlay", "reason"),
    [
        ({}, "0 are no items, 2 are missing"),
        ({A.identifier: 1}, "0 are no items, 1 are missing"),
        ({A.identifier: 1, B.identifier: 1, "0" * 40: 1}, "1 are no items, 0 are missing"),
        ({A.relpath: 1, B.relpath: 1}, "2 are no items, 2 are missing"),
    ],
)
def test_an_overlay_has_exactly_the_items_as_keys(overlay, reason):
    with pytest.raises(InvalidField, match=reason) as refusal:
        replace(PLAN, overlays={"rating": overlay}).check()
    assert refusal.value.details.keys() == {"overlays.rating"}


def test_a_long_name_is_not_repeated_in_full():
    with pytest.raises(InvalidField) as refusal:
        check_name("name", "x" * 100_000)
    assert len(str(refusal.value)) < 400


# Fingerprints and times ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        {"items": (B, A)},
        {"tags": ("v1.0", "red")},
        {"items": (msgspec.structs.replace(A, utc_timestamp=99.0), B)},
        {"expiry_seconds": 5},
        {"pinned": False},
        {"frozen_at": 5.0},
        {"overlays": {"rating": {B.identifier: None, A.identifier: 5}}},
    ],
    ids="-".join,
)
def test_two_announcements_of_the_same_contents_have_one_fingerprint(same):
    assert replace(PLAN, **same).fingerprint() == PLAN.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        {"name": "other"},
        {"creator_username": "somebody"},
        {"items": (A,)},
        {"items": (A, msgspec.structs.replace(B, size_in_bytes=8))},
        {"items": (A, msgspec.structs.replace(B, hash="0" * 32))},
        {"items": (A, item("b/u.txt"))},
        {"tags": ("red",)},
        {"annotations": {"place": {"room": [2, None, "ü"]}}},
        {"overlays": {"rating": {A.identifier: 6, B.identifier: None}}},
        {"overlays": {}},
    ],
    ids=str,
)
def test_other_contents_have_another_fingerprint(other):
    assert replace(PLAN, **other).fingerprint() != PLAN.fingerprint()


def test_a_fingerprint_is_made_of_items_with_and_without_properties():
    bare = replace(PLAN, items=(item("a", None, None, None), item("b"), item("c", 3, None)))
    turned = replace(bare, items=tuple(reversed(bare.items)))
    assert bare.fingerprint() == turned.fingerprint()
    assert len(bare.fingerprint()) == 64


@pytest.mark.parametrize(
    ("changed", "beginning"),
    [
        ({}, "2060b7c02b0f"),
        (
            {"items": (), "overlays": {}, "tags": (), "annotations": {}},
            "b4900a3fcd5a",
        ),
        (
            {"items": [item(name) for name in ('é"\\/', "🧪", "\x7f", "a\tb")]},
            "f339c70dea47",
        ),
        (
            {"items": [item(str(n), n or None, None) for n in range(2500)]},
            "3ee25a1225f1",
        ),
        (
            {"creator_username": None, "name": "ü"},
            "e68c297d6183",
        ),
    ],
    ids=["all", "nothing", "names", "many", "without a creator"],
)
def test_the_fingerprint_is_what_earlier_versions_computed(changed, beginning):
    """Otherwise an upload that is pending during an upgrade could not be resumed."""
    assert replace(PLAN, **changed).fingerprint()[:12] == beginning


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, True),
        (1700000000.5, True),
        (-1.0, True),
        (EARLIEST, True),
        (LATEST, True),
        (EARLIEST - 1, False),
        (LATEST + 1, False),
        (float("nan"), False),
        (float("inf"), False),
        (10**400, False),
        (True, False),
        ("0", False),
        (None, False),
    ],
)
def test_a_time_is_what_dserver_can_store(value, expected):
    assert is_time(value) is expected
