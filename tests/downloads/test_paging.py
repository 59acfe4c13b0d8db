"""Pages of a dataset's items: each costs what it holds, wherever it is."""

from __future__ import annotations

import json
import time

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.downloads.paging import Page, PageRequest
from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.values import SignedItems


def signed(number: int, kind=lambda table: table) -> SignedItems:
    entries = {
        generate_identifier(str(each)): {"relpath": str(each), "size_in_bytes": 1, "hash": "0" * 32}
        for each in range(number)
    }
    table = ItemTable.from_json(json.dumps({"items": entries}).encode())
    return SignedItems(kind(table), lambda item: f"https://store/{item.relpath}")


@pytest.mark.parametrize("kind", [lambda table: table, dict], ids=["table", "dictionary"])
def test_the_pages_together_have_every_item_once_in_order(kind):
    items = signed(25, kind)
    pages = [Page.of(items, PageRequest(number, 10)) for number in (1, 2, 3)]
    assert [pair for page, _ in pages for pair in page.items()] == list(items.items())
    assert [len(page) for page, _ in pages] == [10, 10, 5]
    assert {page.total for _, page in pages} == {25}


def test_the_last_page_of_many_items_costs_what_the_first_one_does():
    items = signed(30_000)

    def seconds(number: int) -> float:
        begun = time.thread_time()
        Page.of(items, PageRequest(number, 10))
        return time.thread_time() - begun

    # Otherwise some thousand times as much.
    assert min(seconds(3_000) for _ in range(5)) < 20 * min(seconds(1) for _ in range(5))
