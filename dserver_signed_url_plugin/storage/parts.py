"""Items that arrive in parts: how they are divided, and what a store tells of their parts.

Makes no request. Parts are numbered from 1; all have the same size but the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

_MIB = 1024**2
# In how many steps parts grow of an item whose size is not known.
_STEPS = 16


@dataclass(frozen=True)
class PartLimits:
    """What one store can assemble: bytes of an item and of a part, and the number of parts.

    ``hashes_parts`` is True if the store tells the MD5 of each part.
    """

    max_item_bytes: int
    min_part_bytes: int
    max_part_bytes: int
    max_parts: int
    hashes_parts: bool = True

    def divide(self, size_in_bytes: int, part_bytes: int) -> Division:
        """Divide an item into parts of ``part_bytes``, or of more MiB if they would be too many.

        :param size_in_bytes: of the item, at least 1 and at most ``max_item_bytes``.
        """
        least = ceil(size_in_bytes / self.max_parts / _MIB) * _MIB
        wanted = max(part_bytes, self.min_part_bytes, least)
        return Division(size_in_bytes, min(wanted, self.max_part_bytes))

    def growing(self, part_bytes: int) -> Iterator[int]:
        """Yield the bytes of each part of an item whose size is not known.

        The first sixteenth of the parts has ``part_bytes``, and each further one as many more: in
        all 8.5 times what parts of one size would carry, while smaller items take smaller parts.
        """
        first = max(part_bytes, self.min_part_bytes)
        for number in range(self.max_parts):
            step = 1 + number * _STEPS // self.max_parts
            yield min(step * first, self.max_part_bytes)


@dataclass(frozen=True)
class Division:
    """An item of ``size_in_bytes``, divided into parts of ``part_bytes``."""

    size_in_bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        """The number of parts."""
        return ceil(self.size_in_bytes / self.part_bytes)

    def bytes_of(self, number: int) -> int:
        """Return the bytes of one part, of which the last one has the rest."""
        if number < self.count:
            return self.part_bytes
        return self.size_in_bytes - self.part_bytes * (self.count - 1)


@dataclass(frozen=True)
class StoredPart:
    """A part as the store lists it; ``md5`` (32 hex digits) is None if the store does not tell.

    ``etag`` is what the store itself calls these bytes.
    """

    size_in_bytes: int
    md5: str | None = None
    etag: str = ""

    def holds(self, size_in_bytes: int, md5: str | None) -> bool:
        """Return whether these are the bytes of this size and MD5.

        Where the store does not tell the MD5, it has compared it when the part arrived.
        """
        return self.size_in_bytes == size_in_bytes and self.md5 in (None, md5)


@dataclass(frozen=True)
class PartUpload:
    """The parts of one item of one upload, which the store keeps under ``upload_id``."""

    uuid: str
    identifier: str
    upload_id: str
