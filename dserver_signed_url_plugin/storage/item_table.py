"""The items of a frozen dataset in little memory: some 70 bytes each, and the relpath.

Reads a manifest as dtool writes it, with every identifier a SHA-1 and every hash an MD5.
``manifest`` reads any other.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import chain, islice
from typing import Annotated

import msgspec

from dserver_signed_url_plugin.storage.relpath_column import RelpathColumn
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
        self._sizes, self.relpaths = array("q"), RelpathColumn()

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
        sizes = len(self) * self._sizes.itemsize
        return len(self._identifiers) + len(self._hashes) + sizes + self.relpaths.size_in_memory

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[str]:
        return map(self._identifier, range(len(self)))

    def __getitem__(self, identifier: str) -> Item:
        try:
            number = self._number(bytes.fromhex(identifier))
        except ValueError:
            raise KeyError(identifier) from None
        # The hex digits might be in upper case, or have blanks between them.
        if number is None or self._identifier(number) != identifier:
            raise KeyError(identifier)
        return self.row(number)

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

    def some(self, start: int, stop: int) -> dict[str, Item]:
        """Return some of the items, by their numbers from 0 on, without making the others."""
        return {item.identifier: item for item in self._some(start, min(stop, len(self)))}

    def among(self, identifiers: bytes) -> ItemTable:
        """Return those items that are among some.

        :param identifiers: their SHA-1s, sorted, one after the other.
        """
        starts = range(0, len(identifiers), _SHA1_BYTES)
        named = (self._number(identifiers[start : start + _SHA1_BYTES]) for start in starts)
        numbers, table = [each for each in named if each is not None], ItemTable()
        table._identifiers += b"".join(map(self._sha1, numbers))
        table._hashes += b"".join(map(self._md5, numbers))
        table._sizes.extend([self._sizes[each] for each in numbers])
        table.relpaths.extend([self.relpaths[each] for each in numbers])
        return table

    def _append(self, identifiers: Sequence[str], facts: Sequence[_Facts]) -> None:
        self._identifiers += _digests(identifiers, _SHA1_BYTES)
        self._hashes += _digests([each.hash for each in facts], _MD5_BYTES)
        self._sizes.extend([each.size_in_bytes for each in facts])
        self.relpaths.extend([each.relpath.encode() for each in facts])

    def _some(self, start: int, stop: int) -> Iterator[Item]:
        identifiers = self._identifiers[start * _SHA1_BYTES : stop * _SHA1_BYTES].hex()
        hashes = self._hashes[start * _MD5_BYTES : stop * _MD5_BYTES].hex()
        rows = zip(self._sizes[start:stop], self.relpaths.some(start, stop), strict=True)
        for number, (size, relpath) in enumerate(rows):
            yield Item(
                identifiers[number * 2 * _SHA1_BYTES : (number + 1) * 2 * _SHA1_BYTES],
                relpath.decode(),
                size,
                hashes[number * 2 * _MD5_BYTES : (number + 1) * 2 * _MD5_BYTES],
            )

    def _number(self, sha1: bytes) -> int | None:
        index = bisect_left(range(len(self)), sha1, key=self._sha1)
        return index if index < len(self) and self._sha1(index) == sha1 else None

    def _sha1(self, index: int) -> bytes:
        return bytes(self._identifiers[index * _SHA1_BYTES : (index + 1) * _SHA1_BYTES])

    def _md5(self, index: int) -> bytes:
        return bytes(self._hashes[index * _MD5_BYTES : (index + 1) * _MD5_BYTES])

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
