"""Pages of the items of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from dserver_signed_url_plugin.errors import PageNotFound
from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.values import Item, SignedItems

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 1_000, 10_000


@dataclass(frozen=True)
class PageRequest:
    """Which page is wanted, from 1 on, and of how many items."""

    number: int
    size: int


@dataclass(frozen=True)
class Page:
    """A page of items, and how many items there are in all."""

    request: PageRequest
    total: int

    @classmethod
    def of(cls, items: SignedItems, wanted: PageRequest) -> tuple[SignedItems, Page]:
        """Return the items of a page.

        :raises PageNotFound: if it is beyond the last one; the first is there in any case.
        """
        start = (wanted.number - 1) * wanted.size
        if start >= max(len(items), 1):
            raise PageNotFound(wanted.number, -(-len(items) // wanted.size))
        return items.among(_some(items.entries, start, wanted.size)), cls(wanted, len(items))


def _some(entries: Mapping[str, Item], start: int, number: int) -> Mapping[str, Item]:
    if isinstance(entries, ItemTable):
        return entries.some(start, start + number)
    return dict(islice(entries.items(), start, start + number))
