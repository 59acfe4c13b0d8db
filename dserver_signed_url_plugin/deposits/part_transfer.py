"""Uploads large local files in parts, and leaves out the parts that the store has already.

Reads a file twice while it is sent: each part before its URL is requested, for its MD5, and again
on its way to the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from dserver_signed_url_plugin.deposits.local_files import (
    ChangedFile,
    FileRange,
    LocalFile,
)
from dserver_signed_url_plugin.deposits.transfer import Transfer, TransferFailed, send
from dserver_signed_url_plugin.progress import Progress
from dserver_signed_url_plugin.storage.parts import Division, StoredPart
from dserver_signed_url_plugin.uploads.parts import PartGrant
from dserver_signed_url_plugin.uploads.parts_plan import PartsPlan

# Parts for which URLs are requested at once.
_BATCH = 32

# Signs URLs for parts of the item with an identifier.
SignParts = Callable[[str, PartsPlan], PartGrant]


@dataclass(frozen=True)
class PartTransfers:
    """Sends the parts of the files of one upload; ``progress`` is called with numbers of bytes."""

    sign: SignParts
    progress: Progress

    def send(self, file: LocalFile, division: Division) -> None:
        """Send the parts of a file that the store does not hold yet.

        :raises ChangedFile: if the file is not what was announced.
        :raises TransferFailed: if the store does not take a part.
        """
        whole = md5(usedforsecurity=False)
        for numbers in _batches(division):
            self._send(file, {number: _read(file, division, number, whole) for number in numbers})
        if whole.hexdigest() != file.item.hash:
            raise ChangedFile(str(file.path))

    def _send(self, file: LocalFile, parts: Mapping[int, FileRange]) -> None:
        """Send parts, through new URLs once the store refuses the old ones."""
        plan = PartsPlan({number: part.md5 for number, part in parts.items()})
        missing, failure = dict(parts), None
        while True:
            grant = self.sign(file.item.identifier, plan)
            left = {n: part for n, part in parts.items() if not _is_in(grant.stored, n, part)}
            if failure is None:
                self.progress(_bytes_of(parts) - _bytes_of(left))
            elif missing.keys() <= left.keys():
                raise failure
            missing = left
            try:
                send([Transfer(part, grant.requests[n]) for n, part in left.items()], self.progress)
                return
            except TransferFailed as error:
                if not error.refused:
                    raise
                failure = error


def _batches(division: Division) -> Iterator[range]:
    end = division.count + 1
    return (range(first, min(first + _BATCH, end)) for first in range(1, end, _BATCH))


def _read(file: LocalFile, division: Division, number: int, whole: Any) -> FileRange:
    """Return a part with its MD5; add what was read to the hash of the whole file."""
    start, size = (number - 1) * division.part_bytes, division.bytes_of(number)
    digest = md5(usedforsecurity=False)
    for block in file.blocks(start, size):
        digest.update(block)
        whole.update(block)
    return FileRange(file, start, size, digest.hexdigest())


def _is_in(stored: Mapping[int, StoredPart], number: int, part: FileRange) -> bool:
    return number in stored and stored[number].holds(part.size_in_bytes, part.md5)


def _bytes_of(parts: Mapping[int, FileRange]) -> int:
    return sum(part.size_in_bytes for part in parts.values())
