"""Does the store hold what was announced? Every way in which it may not."""

from datetime import datetime, timezone

import msgspec
import pytest

from dserver_signed_url_plugin.errors import UnannouncedItems, UploadIncomplete
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.values import Contents, Item, Limits, Promotion, StoredItem
from dserver_signed_url_plugin.uploads.comparison import (
    Comparison,
    compare,
    compare_promoted,
    frozen_item,
)

LIMITS = Limits()
WHEN = datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc)
GOOD, BAD = "9a0364b9e99bb480dd25e1f0284c8555", "0" * 32

ITEM = Item("id-1", "a.txt", 7, GOOD, 1.5)
BARE = Item("id-1", "a.txt")
SIZED = Item("id-1", "a.txt", 7)
RIGHT = StoredItem(7, GOOD, WHEN)
EARLIER = StoredItem(7, GOOD, WHEN.replace(year=2025))
LONGER = StoredItem(8, GOOD, WHEN)
OTHER = StoredItem(7, BAD, WHEN)


def holdings(final=None, staged=None):
    return Contents(
        opened=True,
        final={"id-1": final} if final else {},
        staged={"id-1": staged} if staged else {},
    )


def mismatch(item, found):
    return {
        "relpath": "a.txt",
        "expected": {"size_in_bytes": item.size_in_bytes, "hash": item.hash},
        "found": {"size_in_bytes": found.size_in_bytes, "hash": found.md5},
    }


@pytest.mark.parametrize(
    ("item", "final", "staged"),
    [
        (ITEM, RIGHT, None),
        (ITEM, RIGHT, OTHER),
        (ITEM, RIGHT, RIGHT),
        (SIZED, RIGHT, None),
        (BARE, RIGHT, None),
        # Promoted by a completion that then ended: no need to copy again.
        (BARE, RIGHT, RIGHT),
        (BARE, RIGHT, EARLIER),
    ],
)
def test_what_is_right_at_its_place_stays(item, final, staged):
    outcome = compare([item], holdings(final, staged))
    assert outcome == Comparison(in_place={"id-1": final})
    outcome.require(LIMITS, in_parts=False)


@pytest.mark.parametrize(
    ("item", "final", "staged"),
    [
        (ITEM, None, RIGHT),
        (ITEM, OTHER, RIGHT),
        (ITEM, LONGER, RIGHT),
        (SIZED, None, OTHER),
        # Without an announced MD5 the latest PUT counts.
        (SIZED, RIGHT, OTHER),
        (BARE, RIGHT, OTHER),
        (BARE, None, LONGER),
    ],
)
def test_what_is_right_where_it_is_staged_is_promoted(item, final, staged):
    outcome = compare([item], holdings(final, staged))
    assert outcome == Comparison(promotions=[Promotion(item, staged)])
    outcome.require(LIMITS, in_parts=False)


@pytest.mark.parametrize(
    ("item", "final", "staged", "shown"),
    [
        (ITEM, OTHER, None, OTHER),
        (ITEM, LONGER, None, LONGER),
        (ITEM, None, OTHER, OTHER),
        (ITEM, OTHER, LONGER, LONGER),
        (SIZED, None, LONGER, LONGER),
        (SIZED, RIGHT, LONGER, LONGER),
        (SIZED, LONGER, None, LONGER),
    ],
)
def test_what_differs_is_listed_with_what_was_found(item, final, staged, shown):
    outcome = compare([item], holdings(final, staged))
    assert outcome == Comparison(mismatched=[mismatch(item, shown)])
    with pytest.raises(UploadIncomplete, match=r"0 items missing, and 1 item different") as refusal:
        outcome.require(LIMITS, in_parts=False)
    assert refusal.value.details["mismatched"] == [mismatch(item, shown)]


@pytest.mark.parametrize("in_parts", [True, False])
@pytest.mark.parametrize("item", [ITEM, SIZED, BARE])
def test_what_is_nowhere_is_missing(item, in_parts):
    outcome = compare([item], holdings())
    of_any_size = item.size_in_bytes is None
    assert outcome == Comparison(missing=["a.txt"], has_missing_of_any_size=of_any_size)
    with pytest.raises(UploadIncomplete, match=r"1 item missing, and 0 items different") as refusal:
        outcome.require(LIMITS, in_parts=in_parts)
    assert refusal.value.details["missing"] == ["a.txt"]
    assert ("at most 5368709120 bytes" in str(refusal.value)) == of_any_size
    assert ("multipart: true" in str(refusal.value)) == (of_any_size and in_parts)


def test_an_empty_item_and_no_items_at_all_are_fine():
    empty = Item("id-1", "a.txt", 0, "d41d8cd98f00b204e9800998ecf8427e")
    stored = StoredItem(0, "d41d8cd98f00b204e9800998ecf8427e", WHEN)
    assert compare([empty], holdings(stored)).in_place == {"id-1": stored}
    assert compare([], holdings()) == Comparison()


def test_a_long_list_is_cut_and_its_total_told():
    items = [Item(f"id-{n}", f"file-{n}", 7, GOOD) for n in range(350)]
    wrong = Contents(staged={f"id-{n}": OTHER for n in range(150)})
    with pytest.raises(UploadIncomplete, match=r"200 items .* 150 items different") as refusal:
        compare(items, wrong).require(LIMITS, in_parts=False)
    facts = refusal.value.details
    assert [entry["relpath"] for entry in facts["mismatched"]] == [f"file-{n}" for n in range(100)]
    assert facts["missing"] == [f"file-{n}" for n in range(150, 250)]
    assert (facts["missing_total"], facts["mismatched_total"]) == (200, 150)


# After promotion -----------------------------------------------------------------------------

PROMOTED = [Promotion(BARE, RIGHT)]


@pytest.mark.parametrize("later", [RIGHT, EARLIER])
def test_a_copy_of_what_was_verified_is_in_place(later):
    outcome = compare_promoted(PROMOTED, {"id-1": later, "id-2": OTHER})
    assert outcome == Comparison(in_place={"id-1": later})


@pytest.mark.parametrize("copied", [OTHER, LONGER])
def test_a_copy_of_something_else_is_a_mismatch(copied):
    outcome = compare_promoted(PROMOTED, {"id-1": copied})
    assert outcome == Comparison(mismatched=[mismatch(BARE, copied)])


def test_a_copy_that_was_not_made_is_missing():
    assert compare_promoted(PROMOTED, {"id-2": RIGHT}) == Comparison(missing=["a.txt"])


def test_items_that_nobody_announced_are_named_counted_and_refused():
    compare([BARE], holdings(RIGHT, RIGHT)).require(LIMITS, in_parts=False)
    compare([BARE], Contents(final={"id-1": RIGHT}, staged={"stranger": RIGHT})).require(
        LIMITS, in_parts=False
    )
    strangers = Contents(final={"id-3": RIGHT, "id-1": RIGHT, "id-2": RIGHT})
    with pytest.raises(UploadIncomplete, match="2 item.* not announced") as refused:
        compare([BARE], strangers).require(LIMITS, in_parts=False)
    facts = refused.value.details
    assert facts["mismatched"] == [
        {"relpath": "id-2", "expected": None, "found": "stray"},
        {"relpath": "id-3", "expected": None, "found": "stray"},
    ]
    assert (facts["mismatched_total"], facts["missing_total"]) == (2, 0)


def test_a_stray_is_named_beside_what_is_missing_and_is_nothing_to_send():
    outcome = compare([BARE], Contents(final={"id-2": RIGHT}))
    assert outcome.to_send == {"a.txt"}
    with pytest.raises(UnannouncedItems, match="1 item.* not announced") as why:
        outcome.require(LIMITS, in_parts=False)
    assert (why.value.details["missing"], why.value.details["mismatched_total"]) == (["a.txt"], 1)


# The manifest --------------------------------------------------------------------------------


def hint(**changes):
    return {"relpath": "a.txt", "size_in_bytes": 7, "hash": GOOD, "utc_timestamp": 99.5, **changes}


def read(entry):
    """The item, as it is read out of a manifest that a client uploaded."""
    return Manifest.from_dict({"items": {"id-1": entry}}).items["id-1"]


@pytest.mark.parametrize(
    ("item", "hinted", "timestamp"),
    [
        (ITEM, hint(), 1.5),
        (BARE, hint(), 99.5),
        (BARE, hint(utc_timestamp=99), 99),
        (msgspec.structs.replace(BARE, utc_timestamp=0.0), hint(), 0.0),
        (BARE, None, WHEN.timestamp()),
        (BARE, hint(size_in_bytes=8), WHEN.timestamp()),
        (BARE, hint(hash=BAD), WHEN.timestamp()),
        (BARE, hint(utc_timestamp="99.5"), WHEN.timestamp()),
        (BARE, hint(utc_timestamp=True), WHEN.timestamp()),
        (BARE, hint(utc_timestamp=float("nan")), WHEN.timestamp()),
        (BARE, hint(utc_timestamp=1e300), WHEN.timestamp()),
        (BARE, {}, WHEN.timestamp()),
        (BARE, "nothing useful", WHEN.timestamp()),
        (BARE, [1, 2], WHEN.timestamp()),
    ],
)
def test_a_time_comes_from_the_request_then_a_hint_that_agrees_then_the_store(
    item, hinted, timestamp
):
    expected = Item("id-1", "a.txt", 7, GOOD, timestamp)
    assert frozen_item(item, RIGHT, read(hinted)) == expected


def test_a_hint_says_nothing_about_relpath_size_or_hash():
    lie = hint(relpath="b.txt")
    assert frozen_item(BARE, RIGHT, read(lie)).relpath == "a.txt"
    assert frozen_item(BARE, OTHER, read(hint())).hash == BAD
