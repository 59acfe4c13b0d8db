"""The items of a frozen dataset in little memory: some 70 bytes each, and the relpath.

Reads a manifest as dtool writes it, with every identifier a SHA-1 and every hash an MD5.
``manifest`` reads any other.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import accumulate, chain, islice
from typing import Annotated

import msgspec

from dserver_signed_url_plugin.storage.values import Item

_SHA1_BYTES, _MD5_BYTES = 20, 16
# Items whose texts are in memory at the same time.
_BATCH = 1000


class _Facts(msgspec.Struct, gc=False):
    relpath: Annotated[str, msgspec.Meta(min_length=1)]
    size_in_bytes: Annotated[int, msgspec.Meta(ge=0)]
    hash: str


class _Document(msgspec.Struct, gc=False):
    items: dict[str, msgspec.Raw]


_DOCUMENT = msgspec.json.Decoder(_Document)
_FACTS = msgspec.json.Decoder(_Facts)


class ItemTable(Mapping[str, Item]):
    """Items by identifier, in the order of identifiers, without the time of their last change."""

    def __init__(self) -> None:
        self._identifiers, self._hashes = bytearray(), bytearray()
        self._sizes, self._relpath_ends = array("q"), array("q", [0])
        self._relpaths, self._by_relpath = bytearray(), array("I")

    @classmethod
    def from_json(cls, content: bytes) -> ItemTable:
        """Read a manifest.

        :raises ValueError: if it is not one as dtool writes it; it may be a manifest all the same.
        """
        table = cls()
        try:
            raw = _DOCUMENT.decode(content).items
            identifiers = iter(sorted(raw))
            while batch := list(islice(identifiers, _BATCH)):
                table._append(batch, [_FACTS.decode(raw[identifier]) for identifier in batch])
        except (OverflowError, RecursionError) as error:
            raise ValueError("not a manifest of dtool's") from error
        return table

    @property
    def size_in_memory(self) -> int:
        """Approximately, in bytes."""
        columns = (self._identifiers, self._hashes, self._relpaths)
        numbers = (self._sizes, self._relpath_ends)
        # Also the order by relpath, which may be made later.
        order = len(self) * self._by_relpath.itemsize
        return sum(map(len, columns)) + sum(len(each) * each.itemsize for each in numbers) + order

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[str]:
        return map(self._identifier, range(len(self)))

    def __getitem__(self, identifier: str) -> Item:
        try:
            wanted = bytes.fromhex(identifier)
        except ValueError:
            raise KeyError(identifier) from None
        index = bisect_left(range(len(self)), wanted, key=self._sha1)
        # The hex digits might be in upper case, or have blanks between them.
        if index == len(self) or self._identifier(index) != identifier:
            raise KeyError(identifier)
        return next(self._some(index, index + 1))

    def items(self) -> ItemsView[str, Item]:
        """Return pairs of identifier and item."""
        return _Items(self)

    def values(self) -> ValuesView[Item]:
        """Return the items."""
        return _Values(self)

    def rows(self) -> Iterator[Item]:
        """Yield the items."""
        starts = range(0, len(self), _BATCH)
        return chain.from_iterable(self._some(start, start + _BATCH) for start in starts)

    def row(self, number: int) -> Item:
        """Return an item by its number, from 0 on, in the order of identifiers."""
        return next(self._some(number, number + 1))

    def relpath(self, number: int) -> str:
        """Return the relpath of an item by its number."""
        return self._relpath(number).decode()

    @property
    def by_relpath(self) -> Sequence[int]:
        """The numbers of the items, sorted by relpath."""
        if not self._by_relpath:
            # In UTF-8, the order of bytes is that of code points.
            self._by_relpath = array("I", sorted(range(len(self)), key=self._relpath))
        return self._by_relpath

    def _append(self, identifiers: Sequence[str], facts: Sequence[_Facts]) -> None:
        self._identifiers += _digests(identifiers, _SHA1_BYTES)
        self._hashes += _digests([each.hash for each in facts], _MD5_BYTES)
        self._sizes.extend([each.size_in_bytes for each in facts])
        relpaths = [each.relpath.encode() for each in facts]
        self._relpath_ends.extend(accumulate(map(len, relpaths), initial=len(self._relpaths)))
        # It begins with the end of the batch before.
        self._relpath_ends.pop(-len(relpaths) - 1)
        self._relpaths += b"".join(relpaths)

    def _some(self, start: int, stop: int) -> Iterator[Item]:
        identifiers = self._identifiers[start * _SHA1_BYTES : stop * _SHA1_BYTES].hex()
        hashes = self._hashes[start * _MD5_BYTES : stop * _MD5_BYTES].hex()
        ends = self._relpath_ends[start : stop + 1]
        relpaths = bytes(self._relpaths[ends[0] : ends[-1]])
        for number, size in enumerate(self._sizes[start:stop]):
            relpath = relpaths[ends[number] - ends[0] : ends[number + 1] - ends[0]]
            yield Item(
                identifiers[number * 2 * _SHA1_BYTES : (number + 1) * 2 * _SHA1_BYTES],
                relpath.decode(),
                size,
                hashes[number * 2 * _MD5_BYTES : (number + 1) * 2 * _MD5_BYTES],
            )

    def _sha1(self, index: int) -> bytes:
        return bytes(self._identifiers[index * _SHA1_BYTES : (index + 1) * _SHA1_BYTES])

    def _relpath(self, index: int) -> bytes:
        start, end = self._relpath_ends[index], self._relpath_ends[index + 1]
        return bytes(self._relpaths[start:end])

    def _identifier(self, index: int) -> str:
        return self._sha1(index).hex()


class _Values(ValuesView[Item]):
    """The items of a table, without looking up each by its identifier."""

    _mapping: ItemTable

    def __iter__(self) -> Iterator[Item]:
        return self._mapping.rows()


class _Items(ItemsView[str, Item]):
    """The same with their identifiers."""

    _mapping: ItemTable

    def __iter__(self) -> Iterator[tuple[str, Item]]:
        return ((item.identifier, item) for item in self._mapping.rows())


def _digests(texts: Sequence[str], length: int) -> bytes:
    """Return the bytes of digests, which are hex digits in lower case.

    :raises ValueError: if one is not, or has not this length in bytes.
    """
    joined = "".join(texts)
    digests = bytes.fromhex(joined)
    if digests.hex() != joined or any(len(text) != 2 * length for text in texts):
        raise ValueError("not a digest")
    return digests
