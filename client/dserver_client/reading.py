"""Read an item in place: a file object that fetches only the ranges that are read."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING

from dserver_client.errors import ClientError, VerificationFailed
from dserver_client.process_lock import ProcessLock
from dserver_client.readable import ReadableDataset
from dserver_client.transfers.item_reader import ItemReader, NoRanges, ObjectDiffers

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 18  # bytes
# Blocks of one request, if what is read is next to what was read before, and blocks that are kept.
_MAX_AHEAD = 32
_KEPT = 128
_BUFFER = 1 << 16  # bytes


class ItemFile(io.RawIOBase):
    """A file of one item's bytes: it can be read and sought, also by several threads.

    Each request is for the blocks that are needed and, the longer one reads on and on, for more of
    those that follow. Blocks are kept, so that going back costs no request; in all 32 MiB.
    """

    def __init__(self, reader: ItemReader) -> None:
        self.name = reader.item.relpath
        self.size = reader.item.size_in_bytes
        self._reader = reader
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        # The block after those of the last request, and how many that request asked for.
        self._next = -1
        self._ahead = 1
        self._lock = ProcessLock()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the beginning of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read until the buffer is full or the item ends.

        :raises VerificationFailed: if the store has another object than at the first read.
        :raises Unavailable, StoreRefused, Refused: if the bytes cannot be had.
        """
        view = memoryview(buffer).cast("B")
        with self._lock:
            if self.closed:
                raise ValueError("I/O operation on closed file.")
            filled = 0
            end = min(len(view), self.size - self._position)
            while filled < end:
                number, offset = divmod(self._position, BLOCK)
                piece = self._block(number, offset + end - filled)[offset : offset + end - filled]
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
                self._position += len(piece)
            return filled

    def readall(self) -> bytes:
        content = bytearray(max(0, self.size - self._position))
        self.readinto(content)
        return bytes(content)

    def close(self) -> None:
        self._blocks.clear()
        super().close()

    def _block(self, number: int, size: int) -> memoryview:
        """Return a block, of which and of whose followers ``size`` bytes are needed."""
        if number in self._blocks:
            self._blocks.move_to_end(number)
        else:
            self._load(number, -(-size // BLOCK))
        return memoryview(self._blocks[number])

    def _load(self, first: int, needed: int) -> None:
        self._ahead = min(2 * self._ahead, _MAX_AHEAD) if first == self._next else 1
        last = min(first + max(self._ahead, min(needed, _MAX_AHEAD)), -(-self.size // BLOCK))
        known = [number for number in range(first + 1, last) if number in self._blocks]
        last = min([last, *known])
        content = read_range(self._reader, first * BLOCK, min(last * BLOCK, self.size))
        for number in range(first, last):
            start = (number - first) * BLOCK
            self._blocks[number] = content[start : start + BLOCK]
        self._next = last
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        # What was asked for is older than what was read ahead, but needed next.
        self._blocks.move_to_end(first)


def read_range(reader: ItemReader, first: int, end: int) -> bytes:
    """Return the bytes from ``first`` up to ``end``, which is not included."""
    relpath = reader.item.relpath
    try:
        return b"".join(reader.blocks(first, end))
    except ObjectDiffers as difference:
        reason = str(difference)
        raise VerificationFailed(
            f"{relpath!r} cannot be read: {reason}.", {relpath: reason}
        ) from None
    except NoRanges as error:
        raise ClientError(f"{relpath!r} cannot be read in place: fetch it. {error}") from None


def open_item(dataset: ReadableDataset, relpath: str) -> io.BufferedReader:
    """Open an item for reading.

    :raises Refused: with status 404 if the dataset has no such item, 403 if it may not be read.
    """
    return buffered(dataset.reader(relpath))


def buffered(reader: ItemReader) -> io.BufferedReader:
    """Return a file object that reads small pieces and lines fast."""
    return io.BufferedReader(ItemFile(reader), _BUFFER)
