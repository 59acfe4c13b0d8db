"""Pages of the items of a share, sorted by relpath, and those whose relpath contains a text.

The order of an ``ItemTable``, and what is searched, are kept with it; those of other items are made
for every page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.relpath_column import RelpathColumn
from dserver_signed_url_plugin.storage.values import Item

PAGE_SIZE = 200
MAX_PART_CHARACTERS = 200


@dataclass(frozen=True)
class ListingPage:
    """Some of the items of a share, in the order of relpaths.

    ``number`` is that of the page, from 1 on, of ``pages``; ``matching`` is how many items there
    are on all of them.
    """

    items: Sequence[Item]
    number: int
    pages: int
    matching: int

    @property
    def first(self) -> int:
        """The number of the first item on this page, from 1 on."""
        return (self.number - 1) * PAGE_SIZE + 1

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first - 1 + len(self.items)


def page(items: Mapping[str, Item], part: str = "", number: int = 1) -> ListingPage:
    """Return a page of items.

    :param part: what a relpath must contain; case and Unicode normalisation do not count. Only its
        first MAX_PART_CHARACTERS count.
    :param number: of the page; beyond the last page, that is returned.
    """
    relpaths, row = _rows(items)
    found = relpaths.containing(part[:MAX_PART_CHARACTERS]) if part else relpaths.order
    pages = max(1, -(-len(found) // PAGE_SIZE))
    number = min(max(1, number), pages)
    chosen = found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return ListingPage([row(each) for each in chosen], number, pages, len(found))


def _rows(items: Mapping[str, Item]) -> tuple[RelpathColumn, Callable[[int], Item]]:
    """Return the relpaths of items, and what returns an item by the number of its relpath."""
    if isinstance(items, ItemTable):
        return items.relpaths, items.row
    rows, relpaths = list(items.values()), RelpathColumn()
    relpaths.extend([item.relpath.encode(errors="surrogatepass") for item in rows])
    return relpaths, rows.__getitem__
