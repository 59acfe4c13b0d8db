"""What cannot be kept is refused with a sentence, before a row or an object is written."""

from __future__ import annotations

import json
import math
from typing import Any
from uuid import uuid4

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, encoded
from tests.support.http_server import serving
from tests.support.refusals import assert_refused, holdings, nothing_is_written

pytestmark = pytest.mark.database("postgresql", reason="SQLite takes more than it should")

GIB = 1024**3
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
A, B = generate_identifier("a.txt"), generate_identifier("b.txt")
RAW_NUMBER = "1e400"  # JSON that Python reads as infinity, and does not write


def plan(**changes: Any) -> dict[str, Any]:
    items = [{"relpath": "a.txt"}, {"relpath": "b.txt"}]
    return {"uuid": str(uuid4()), "name": "my-dataset", "items": items, **changes}


def item(**properties: Any) -> dict[str, Any]:
    return plan(items=[{"relpath": "a.txt", **properties}])


def post(dserver: Dserver, body: str | bytes, content_type: str = "application/json") -> Any:
    path = f"/signed-urls/upload/{encoded(dserver.base_uri)}"
    return dserver.alice.post(path, data=body, headers={"Content-Type": content_type})


UUIDS = {
    "upper case": str(uuid4()).upper().replace("0", "A"),
    "without dashes": uuid4().hex,
    "in braces": f"{{{uuid4()}}}",
    "urn": uuid4().urn,
    "newline behind": f"{uuid4()}\n",
    "too short": str(uuid4())[:-1],
    "not hexadecimal": "g" * 8 + str(uuid4())[8:],
    "path": "../" + str(uuid4())[3:],
    "empty": "",
    "number": 7,
    "null": None,
}


@pytest.mark.parametrize("uuid", UUIDS.values(), ids=UUIDS)
def test_a_uuid_that_is_not_canonical_is_refused(lab, uuid):
    with nothing_is_written(lab):
        assert_refused(lab.alice.begin(lab.base_uri, plan(uuid=uuid)), 422, "uuid")


RELPATHS = {
    "empty": ("", "empty"),
    "absolute": ("/etc/passwd", "absolute"),
    "parent": ("../up.txt", "'..'"),
    "parent inside": ("a/../../up.txt", "'..'"),
    "parent last": ("a/..", "'..'"),
    "here": ("./a.txt", "'.'"),
    "empty segment": ("a//b.txt", "empty"),
    "trailing slash": ("a/", "empty"),
    "newline": ("a\nb", "control"),
    "delete character": ("a\x7fb", "control"),
    "too long": ("a" * 1501, "longer"),
    "too long in UTF-8": ("ü" * 751, "longer"),
}


@pytest.mark.parametrize(("relpath", "reason"), RELPATHS.values(), ids=RELPATHS)
def test_a_relpath_that_dtool_could_not_keep_is_refused(lab, relpath, reason):
    with nothing_is_written(lab):
        answer = lab.alice.begin(lab.base_uri, item(relpath=relpath))
        assert_refused(answer, 400, "relpath", reason)


@pytest.mark.parametrize("character", ["\x00", "\ud800"])
@pytest.mark.parametrize(
    "field",
    ["relpath", "hash", "tag", "annotation", "annotation's name", "overlay", "name", "creator"],
)
def test_text_that_no_database_holds_is_refused(lab, character, field):
    text = f"a{character}b"
    bodies = {
        "relpath": (item(relpath=text), "items.0.relpath"),
        "hash": (item(hash=text), "items.0.hash"),
        "tag": (plan(tags=["a", text]), "tags.1"),
        "annotation": (plan(annotations={"n": {"deep": [1, text]}}), "annotations.n.deep.1"),
        "annotation's name": (plan(annotations={"n": {text: 1}}), "annotations.n"),
        "overlay": (plan(overlays={"n": {A: 1, B: text}}), f"overlays.n.{B}"),
        "name": (plan(name=text), "name"),
        "creator": (plan(creator_username=text), "creator_username"),
    }
    body, named = bodies[field]
    with nothing_is_written(lab):
        answer = post(lab, json.dumps(body))
        assert_refused(answer, 400, f"{named}: ", "NUL", "surrogate")
        assert answer.json["errors"].keys() == {named, "slug"}


def test_what_only_looks_like_such_text_is_taken(lab):
    body = plan(annotations={"n": ["\\u0000", "\\ud800", "\\\\u0000", "\U0001f600"]})
    assert post(lab, json.dumps(body)).status_code == 200


def test_such_text_is_found_behind_a_hundred_thousand_items(lab):
    facts = {"size_in_bytes": 1, "hash": "0" * 32, "utc_timestamp": 1.5}
    items = [{"relpath": f"{number}.txt", **facts} for number in range(100_000)]
    body = json.dumps(plan(items=items, annotations={"a": {"b\x00": "x"}}))
    answer = post(lab, body)
    assert_refused(answer, 400, "annotations.a", "NUL")


@pytest.mark.parametrize("field", ["annotations", "overlays"])
@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_a_number_that_nothing_can_hold_is_said_to_be_one(lab, field, number):
    body = json.dumps(described(field, "NUMBER")).replace('"NUMBER"', number)
    answer = post(lab, body)
    assert_refused(answer, 422, field, "out of range")


@pytest.mark.parametrize("character", ["\x00", "\ud800"])
def test_completing_names_the_field_of_such_text_too(lab, character):
    body = json.dumps({"uri": f"s3://a{character}b"})
    headers = {"Content-Type": "application/json"}
    answer = lab.alice.post("/signed-urls/upload-complete", data=body, headers=headers)
    assert_refused(answer, 400, "uri: ", "NUL", "surrogate")


def test_the_longest_relpath_is_accepted_by_store_and_dtool(lab):
    deposit = Deposit({"a" * 1496 + ".txt": b"long", "ü" * 750: b"also"})
    assert DtoolDserver().upload(lab.alice, lab.base_uri, deposit).status_code == 200


TIMES = (-7e10, 3e11, math.nan, math.inf, -math.inf, RAW_NUMBER, True, "yesterday", [1])
ITEMS = [
    *[("size_in_bytes", size, 422) for size in (-1, 1.5, True, "7", math.nan, RAW_NUMBER, [1])],
    *[("hash", md5, 422) for md5 in ("", MD5[:-1], MD5 + "0", MD5[:-1] + "g", MD5 + "\n", 7, [])],
    *[("utc_timestamp", time, 422) for time in TIMES],
    *[("relpath", relpath, 422) for relpath in (None, 7, ["a"])],
    ("surprise", "x", 422),
]


@pytest.mark.parametrize(("field", "value", "status"), ITEMS)
def test_an_item_that_says_something_impossible_is_refused(lab, field, value, status):
    with nothing_is_written(lab):
        body = json.dumps(item(**{field: value})).replace(f'"{RAW_NUMBER}"', RAW_NUMBER)
        assert_refused(post(lab, body), status, "items.0", field)


def test_items_above_five_gibibytes_have_to_be_sent_in_parts(lab):
    for size in (5 * GIB + 1, 2**63, 10**4000):
        with nothing_is_written(lab):
            answer = lab.alice.begin(lab.base_uri, item(size_in_bytes=size))
            assert_refused(answer, 400, "items.0.size_in_bytes", "with multipart: true")
    assert lab.alice.begin(lab.base_uri, item(size_in_bytes=5 * GIB)).status_code == 200


def test_items_above_what_the_store_assembles_are_refused(lab):
    most = 5 * 1024 * GIB
    for size in (most + 1, 2**63, 10**4000):
        with nothing_is_written(lab):
            body = {**item(size_in_bytes=size, hash=MD5), "multipart": True}
            answer = lab.alice.begin(lab.base_uri, body)
            assert_refused(answer, 400, "items.0.size_in_bytes", f"above {most} bytes")


def test_an_item_announced_twice_is_refused(lab):
    with nothing_is_written(lab):
        answer = lab.alice.begin(lab.base_uri, plan(items=[{"relpath": "a"}, {"relpath": "a"}]))
        assert_refused(answer, 400, "items.1.relpath", "twice")


NAMES = ("a\n", "a/b", "../a", "", "ä", "a b", "a" * 81, "a\\b", ".", "..")
FIELDS = [
    *[("name", name, 400) for name in NAMES],
    *[("tags", [name], 400) for name in NAMES],
    *[(kind, name, 400) for kind in ("annotations", "overlays") for name in (*NAMES, "a.b")],
    *[("frozen_at", time, 422) for time in (*TIMES[:6], "yesterday", [1])],
    ("name", None, 422),
    ("name", 7, 422),
    ("items", {"a": 1}, 422),
    ("items", ["a.txt"], 422),
    ("tags", "abc", 422),
    ("tags", [7], 422),
    ("annotations", [1], 422),
    ("items", "", 422),
    ("annotations", {"a": math.nan}, 400),
    ("annotations", {"a": "x" * 1024 * 1024}, 400),
    ("overlays", {"a": [1]}, 422),
    ("overlays", {"a": {A: 1}}, 400),
    ("overlays", {"a": {A: 1, B: 2, "c" * 40: 3}}, 400),
    ("overlays", {"a": {"a.txt": 1, "b.txt": 2}}, 400),
    ("overlays", {"a": {A: 1, B: math.inf}}, 400),
    ("hash_function", "sha256sum_hexdigest", 400),
    ("creator_username", "", 400),
    ("creator_username", "al\nice", 400),
    ("creator_username", "a" * 256, 400),
    ("upload_headers", "perhaps", 422),
    ("expiry_seconds", 0, 422),
    ("surprise", 1, 422),
]


@pytest.mark.parametrize(("field", "value", "status"), FIELDS, ids=lambda value: repr(value)[:40])
def test_a_field_that_dtool_or_dserver_could_not_keep_is_refused(lab, field, value, status):
    if field == "annotations" and isinstance(value, str):
        value = {value: 1}
    if field == "overlays" and isinstance(value, str):
        value = {value: {A: 1, B: 2}}
    with nothing_is_written(lab):
        body = json.dumps(plan(**{field: value})).replace(f'"{RAW_NUMBER}"', RAW_NUMBER)
        assert_refused(post(lab, body), status, field)


BODIES = {
    "not JSON": ("{", "application/json", 400, "JSON"),
    "not UTF-8": (b'{"name": "\xff"}', "application/json", 400, "JSON"),
    "UTF-16": (json.dumps(plan()).encode("utf-16"), "application/json", 400, "JSON"),
    "UTF-16 without a mark": (
        json.dumps(plan()).encode("utf-16-le"),
        "application/json",
        400,
        "JSON",
    ),
    "UTF-8, and says UTF-16": (
        json.dumps(plan()) + "..",
        "application/json; charset=utf-16",
        400,
        "utf-16",
    ),
    "an encoding that takes long": (
        json.dumps(plan()),
        "application/json; charset=punycode",
        400,
        "punycode",
    ),
    "no encoding": (json.dumps(plan()), "application/json; charset=klingon", 400, "klingon"),
    "latin-1": (
        json.dumps(plan(creator_username="Zo\u00eb"), ensure_ascii=False).encode("latin-1"),
        "application/json",
        400,
        "creator_username, it is not UTF-8",
    ),
    "a word of another language": (
        json.dumps(item(size_in_bytes=1)).replace(": 1", ": undefined"),
        "application/json",
        400,
        "items.0.size_in_bytes",
    ),
    "cut off": (json.dumps(plan())[:-1], "application/json", 400, "cut off"),
    "UTF-32": (json.dumps(plan()).encode("utf-32"), "application/json", 400, "JSON"),
    "half of a surrogate pair in bytes": (
        json.dumps(plan(name="\ud800"), ensure_ascii=False).encode("utf-8", "surrogatepass"),
        "application/json",
        400,
        "JSON",
    ),
    "form": ("uuid=1", "application/x-www-form-urlencoded", 400, "Content-Type"),
    "plain text": (json.dumps(plan()), "text/plain", 400, "Content-Type"),
    "list": ("[]", "application/json", 422, "nvalid input"),
    "nothing": ("", "application/json", 422, "uuid"),
    "nested deeply": ("[" * 200_000, "application/json", 400, "nested"),
    "very long number": (
        json.dumps(plan(frozen_at=1)).replace('"frozen_at": 1', f'"frozen_at": {"1" * 5000}'),
        "application/json",
        422,
        "frozen_at",
    ),
    "long number": (
        json.dumps(plan(frozen_at=10**4000)),
        "application/json",
        422,
        "frozen_at",
    ),
}


@pytest.mark.parametrize(("body", "kind", "status", "word"), BODIES.values(), ids=BODIES)
def test_a_body_that_cannot_be_read_is_refused(lab, body, kind, status, word):
    with nothing_is_written(lab):
        assert_refused(post(lab, body, kind), status, word)


def in_full() -> dict[str, Any]:
    """An announcement with text that each encoding has, and spells otherwise."""
    return plan(items=[{"relpath": "Zo\u00eb.txt", "size_in_bytes": 100_000}])


ENCODINGS = {
    "UTF-8": ("utf-8", "application/json; charset=UTF-8"),
    "UTF-8 with a mark": ("utf-8-sig", "application/json"),
    "Latin-1": ("latin-1", "application/json; charset=iso-8859-1"),
    "Windows": ("cp1252", "application/json; charset=windows-1252"),
    "UTF-16": ("utf-16", "application/json; charset=utf-16"),
    "UTF-16 without a mark": ("utf-16-le", "application/json; charset=utf-16"),
    "UTF-16, big end first": ("utf-16-be", "application/json; charset=utf-16"),
    "UTF-16LE": ("utf-16-le", "application/json; charset=utf-16le"),
    "UTF-32": ("utf-32-be", "application/json;charset=UTF-32"),
}


@pytest.mark.parametrize(("encoding", "kind"), ENCODINGS.values(), ids=ENCODINGS)
def test_an_encoding_that_is_named_is_used(lab, encoding, kind):
    body = json.dumps(in_full(), ensure_ascii=False)
    assert post(lab, body.encode(encoding), kind).status_code == 200
    # The same in UTF-8 is the same upload.
    assert post(lab, body.encode(), "application/json").status_code == 200


NUMBERS = ("1e+05", "1E5", "100000.0", "100000", "1.0e5", "10000000e-2")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_whole_number_is_one_however_it_is_written(lab, number):
    body = json.dumps({**in_full(), "expiry_seconds": 100_000})
    assert post(lab, body).status_code == 200
    again = post(lab, body.replace("100000", number))
    assert again.status_code == 200
    assert again.json["expiry_seconds"] == 100_000


@pytest.mark.parametrize("field", ["items", "tags", "annotations", "overlays"])
@pytest.mark.parametrize("empty", ["[]", "{}", "[ ]", "{\n}"])
def test_an_empty_list_is_an_empty_object_and_the_other_way_round(lab, field, empty):
    body = json.dumps(plan(**{"items": [], field: 0})).replace(
        f'"{field}": 0', f'"{field}": {empty}'
    )
    assert post(lab, body).status_code == 200


def test_an_overlay_of_no_items_may_be_an_empty_list(lab):
    assert lab.alice.begin(lab.base_uri, plan(items=[], overlays={"a": []})).status_code == 200
    with nothing_is_written(lab):
        answer = lab.alice.begin(lab.base_uri, plan(overlays={"a": []}))
        assert_refused(answer, 400, "overlays.a", "2 are missing")


def described(field: str, value: Any) -> dict[str, Any]:
    """An upload with this value in an annotation or in an overlay."""
    return plan(**{field: {"n": value if field == "annotations" else {A: value, B: None}}})


WIDE = {
    "above": 2**63,
    "below": -(2**63) - 1,
    "far above": 10**400,
    "in a list": [1, [2**63]],
    "in an object": {"deep": [{"er": -(2**63) - 1}]},
}


@pytest.mark.parametrize("field", ["annotations", "overlays"])
@pytest.mark.parametrize("value", WIDE.values(), ids=WIDE)
def test_a_whole_number_beyond_64_bits_is_refused(lab, field, value):
    with nothing_is_written(lab):
        answer = lab.alice.begin(lab.base_uri, described(field, value))
        assert_refused(answer, 400, field, "64 bits")


@pytest.mark.parametrize("field", ["annotations", "overlays"])
@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1e300, True])
def test_a_number_of_64_bits_is_accepted(lab, field, value):
    assert lab.alice.begin(lab.base_uri, described(field, value)).status_code == 200


@pytest.mark.parametrize("field", ["annotations", "overlays"])
@pytest.mark.parametrize("parts", [("[", "]"), ('{"a": ', "}")], ids=["lists", "objects"])
def test_annotations_and_overlays_may_be_nested_fifty_levels_deep(lab, field, parts):
    def announce(levels: int) -> Any:
        # The object of all annotations, and each overlay, is a level of its own.
        nested = json.loads(parts[0] * (levels - 1) + "7" + parts[1] * (levels - 1))
        return lab.alice.begin(lab.base_uri, described(field, nested))

    assert announce(50).status_code == 200
    with nothing_is_written(lab):
        assert_refused(announce(51), 400, field, "more than 50 levels")


def test_no_depth_of_nesting_breaks_the_server(lab):
    for depth in (50, 500, *range(900, 1000, 5), 2000, 5000):
        nested = "[" * depth + "]" * depth
        body = json.dumps(plan(annotations={"n": 1})).replace('{"n": 1}', f'{{"n": {nested}}}')
        before = holdings(lab)
        answer = post(lab, body)
        if answer.status_code != 200:
            assert_refused(answer, 400, "nested")
            assert holdings(lab) == before


def test_more_items_than_the_server_takes_are_refused(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_ITEMS=3)
    items = [{"relpath": f"{number}.txt"} for number in range(4)]
    with nothing_is_written(dserver):
        assert_refused(dserver.alice.begin(dserver.base_uri, plan(items=items)), 400, "items", "3")
    assert dserver.alice.begin(dserver.base_uri, plan(items=items[:3])).status_code == 200


def test_a_body_that_is_too_large_or_has_no_length_is_refused(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_BODY_BYTES=1000)
    with nothing_is_written(dserver):
        assert_refused(post(dserver, json.dumps(plan()) + " " * 1000), 413, "1000 bytes")

    with nothing_is_written(dserver), serving(dserver.app) as url:
        answer = requests.post(
            f"{url}/signed-urls/upload/{encoded(dserver.base_uri)}",
            headers={
                "Authorization": f"Bearer {dserver.tokens['alice']}",
                "Content-Type": "application/json",
            },
            data=iter([json.dumps(plan()).encode()]),
            timeout=30,
        )
        assert_refused(answer, 411, "Content-Length")
