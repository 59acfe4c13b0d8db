"""Pages of the items of a share: sorted and filtered, at the cost of one page."""

from __future__ import annotations

import json
import time
from functools import partial
from hashlib import md5

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.shares import listing
from dserver_signed_url_plugin.shares.listing import PAGE_SIZE
from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.values import Item

RELPATHS = [
    "b.txt",
    "a/ö.txt",
    "a/z.txt",
    "B.txt",
    "日本語/😀.png",
    "\uffee",
    "a\u202eb",
    "o\u0308.txt",
]


def table(relpaths) -> ItemTable:
    entries = {
        generate_identifier(relpath): {
            "relpath": relpath,
            "size_in_bytes": 1,
            "hash": md5(relpath.encode()).hexdigest(),
            "utc_timestamp": 1.5,
        }
        for relpath in relpaths
    }
    return ItemTable.from_json(json.dumps({"items": entries}).encode())


@pytest.fixture(params=["table", "dictionary"])
def kind(request):
    """The items of a manifest as dtool writes it, and of any other or of a part of a dataset."""
    return table if request.param == "table" else lambda relpaths: dict(table(relpaths).items())


def names(page) -> list[str]:
    return [item.relpath for item in page.items]


def test_items_are_sorted_by_relpath(kind):
    assert names(listing.page(kind(RELPATHS))) == sorted(RELPATHS)


@pytest.mark.parametrize("number", [0, 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE - 1])
def test_every_item_is_on_exactly_one_page(kind, number):
    items = kind([f"{each:05}" for each in range(number)])
    pages = listing.page(items).pages
    shown = [listing.page(items, number=each) for each in range(1, pages + 1)]
    assert [name for page in shown for name in names(page)] == [f"{n:05}" for n in range(number)]
    assert [page.first for page in shown] == list(range(1, number + 1, PAGE_SIZE)) or not number
    assert all(page.last - page.first + 1 == len(page.items) for page in shown)
    assert all(page.matching == number for page in shown)


@pytest.mark.parametrize(("number", "shown"), [(-1, 1), (0, 1), (3, 3), (4, 3), (10**9, 3)])
def test_a_page_that_is_not_there_is_the_nearest_one(kind, number, shown):
    items = kind([f"{each:05}" for each in range(2 * PAGE_SIZE + 1)])
    assert listing.page(items, number=number).number == shown


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("B.TX", ["B.txt", "b.txt"]),
        ("A/", ["a/z.txt", "a/ö.txt"]),
        ("Ö", ["a/ö.txt", "o\u0308.txt"]),
        ("O\u0308", ["a/ö.txt", "o\u0308.txt"]),
        ("本語/😀", ["日本語/😀.png"]),
        ("\u202e", ["a\u202eb"]),
        ("t\x00", []),
        # Neither two relpaths nor what separates them.
        ("txta", []),
        ("\udcff", []),
        ("nowhere", []),
        (".*", []),
        ("x" * 10_000, []),
    ],
)
def test_a_part_of_a_name_is_found_in_either_case_and_normalisation(kind, part, found):
    page = listing.page(kind(RELPATHS), part)
    assert (sorted(names(page)), page.matching) == (sorted(found), len(found))


def test_the_pages_of_a_filter_have_what_matches_alone(kind):
    items = kind([f"{each:05}{'.png' if each % 2 else '.txt'}" for each in range(2 * PAGE_SIZE)])
    page = listing.page(items, ".PNG", 9)
    assert (page.number, page.pages, page.matching, len(page.items)) == (1, 1, PAGE_SIZE, PAGE_SIZE)


def test_every_relpath_is_found_once_and_on_its_own_page(kind):
    items = kind([f"{each:05}/aAaA" for each in range(2 * PAGE_SIZE + 1)])
    pages = [listing.page(items, "a", number) for number in (1, 2, 3)]
    assert [page.matching for page in pages] == [2 * PAGE_SIZE + 1] * 3
    assert [names(page)[0] for page in pages] == ["00000/aAaA", "00200/aAaA", "00400/aAaA"]


def test_a_relpath_that_is_no_unicode_is_found():
    items = {"0": Item("0", "a\udcff.txt"), "1": Item("1", "b.txt")}
    assert names(listing.page(items, ".T")) == ["a\udcff.txt", "b.txt"]
    assert names(listing.page(items, "\udcff")) == ["a\udcff.txt"]


def seconds(work) -> float:
    """Of CPU time, once."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def test_the_second_page_of_a_large_dataset_costs_what_that_of_a_small_one_does():
    small, large = (table([f"{each:06}" for each in range(n)]) for n in (1_000, 40_000))
    first = seconds(lambda: listing.page(large, number=2))
    # Sorting takes some 50 times as long as a page.
    assert min(seconds(lambda: listing.page(large, number=2)) for _ in range(5)) < first / 5
    assert min(seconds(lambda: listing.page(large, number=2)) for _ in range(20)) < 3 * min(
        seconds(lambda: listing.page(small, number=2)) for _ in range(20)
    )


def test_only_the_first_filter_prepares_the_relpaths():
    items = table([f"{'ß漢é̂' * 10}/{each:06}" for each in range(20_000)])
    first = seconds(lambda: listing.page(items, "nowhere"))
    for part in ("ß漢", "0199", "00", "nothing"):
        work = partial(listing.page, items, part)
        assert min(seconds(work) for _ in range(3)) < first / 5
