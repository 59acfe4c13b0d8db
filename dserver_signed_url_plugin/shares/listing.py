"""Pages of the items of a share, sorted by relpath, and those whose relpath contains a text.

The order of an ``ItemTable`` is kept with it; that of other items is made for every page.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.storage.item_table import ItemTable
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


@dataclass(frozen=True)
class _Sorted:
    """Items by number, and the numbers in the order of relpaths."""

    numbers: Sequence[int]
    relpath: Callable[[int], str]
    item: Callable[[int], Item]

    @classmethod
    def of(cls, items: Mapping[str, Item]) -> _Sorted:
        if isinstance(items, ItemTable):
            return cls(items.by_relpath, items.relpath, items.row)
        rows = list(items.values())

        def relpath(number: int) -> str:
            return rows[number].relpath

        return cls(sorted(range(len(rows)), key=relpath), relpath, rows.__getitem__)


def page(items: Mapping[str, Item], part: str = "", number: int = 1) -> ListingPage:
    """Return a page of items.

    :param part: what a relpath must contain; case and Unicode normalisation do not count. Only its
        first MAX_PART_CHARACTERS count.
    :param number: of the page; beyond the last page, that is returned.
    """
    found = _Sorted.of(items)
    numbers, wanted = found.numbers, _folded(part[:MAX_PART_CHARACTERS])
    if wanted:
        numbers = [each for each in numbers if wanted in _folded(found.relpath(each))]
    pages = max(1, -(-len(numbers) // PAGE_SIZE))
    number = min(max(1, number), pages)
    chosen = numbers[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return ListingPage([found.item(each) for each in chosen], number, pages, len(numbers))


def _folded(text: str) -> str:
    """Return a text as it is compared (Unicode Standard, section 3.13: caseless matching)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.casefold())
