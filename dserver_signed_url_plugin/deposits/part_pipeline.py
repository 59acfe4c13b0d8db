"""Reads a stream in parts, and sends them from memory while the next ones are read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5
from multiprocessing.pool import AsyncResult, ThreadPool
from types import TracebackType

from dserver_signed_url_plugin.deposits.transfer import (
    CONCURRENCY,
    Sender,
    Transfer,
    TransferFailed,
)
from dserver_signed_url_plugin.progress import Progress
from dserver_signed_url_plugin.storage.parts import StoredPart
from dserver_signed_url_plugin.storage.values import SignedRequest

_BLOCK = 256 * 1024  # bytes
# Seconds before a part that the store did not take is sent again: nobody could resume a stream.
PAUSES = (1, 10, 30, 60)

# Signs a PUT for the part of this number with this MD5.
SignPart = Callable[[int, str], SignedRequest]


class TooManyBytes(Exception):
    """There are more bytes than may be read."""


@dataclass(frozen=True)
class MemoryPart:
    """Bytes of a stream, and their MD5 (32 hex digits); ``path`` is how messages call it."""

    relpath: str
    content: memoryview
    md5: str

    @property
    def path(self) -> str:
        return self.relpath

    @property
    def size_in_bytes(self) -> int:
        """The number of bytes."""
        return len(self.content)

    def blocks(self) -> Iterator[memoryview]:
        """Yield the bytes in blocks."""
        for start in range(0, len(self.content), _BLOCK):
            yield self.content[start : start + _BLOCK]


class PartReader:
    """Divides a stream into parts; counts its bytes, and computes its MD5.

    :param limit: the most bytes that it may have.
    :param progress: called with the number of bytes of each block.
    """

    def __init__(
        self, relpath: str, blocks: Iterable[bytes], limit: int, progress: Progress
    ) -> None:
        self.size_in_bytes, self._relpath, self._limit = 0, relpath, limit
        self._blocks, self._rest = iter(blocks), memoryview(b"")
        self._progress, self._digest = progress, md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        """The MD5 of all that was read (32 hex digits)."""
        return self._digest.hexdigest()

    def read(self, size: int) -> MemoryPart:
        """Return the next bytes, as many as ``size`` unless the stream ends before.

        :raises TooManyBytes: if the stream has more than its limit.
        """
        content, filled = memoryview(bytearray(size)), 0
        while filled < size and self._has_more():
            taken = self._rest[: size - filled]
            content[filled : filled + len(taken)] = taken
            filled, self._rest = filled + len(taken), self._rest[len(taken) :]
        part = content[:filled]
        return MemoryPart(self._relpath, part, md5(part, usedforsecurity=False).hexdigest())

    def _has_more(self) -> bool:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._rest = memoryview(block)
            self._digest.update(block)
            self._progress(len(block))
            self.size_in_bytes += len(block)
            if self.size_in_bytes > self._limit:
                raise TooManyBytes
        return True


class PartPipeline:
    """Sends parts, several at a time, and keeps each in memory until the store has it.

    :param budget: the bytes of parts that are kept, with the one that is read next; of larger parts
        two, so that one can be read while the other is sent.
    """

    def __init__(self, sign: SignPart, budget: int, pauses: Sequence[float] = PAUSES) -> None:
        self._sign, self._budget, self._pauses = sign, budget, pauses
        self._pool = ThreadPool(CONCURRENCY)
        self._sender: Sender | None = None
        self._pending: deque[tuple[int, MemoryPart, AsyncResult[None]]] = deque()
        self._bytes_pending = 0
        self._sent: dict[int, StoredPart] = {}

    def __enter__(self) -> PartPipeline:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Its threads are not waited for on an interruption.
        self._pool.terminate()
        if self._sender is not None:
            self._sender.stop()

    def send_next(self, reader: PartReader, size: int) -> bool:
        """Read a part as soon as it may be kept, and begin to send it; False if none is left.

        :raises TransferFailed: if the store does not take an earlier part.
        :raises TooManyBytes: if the stream has more than its limit.
        """
        while self._pending and self._bytes_pending + size > max(self._budget, 2 * size):
            self._wait_for_oldest()
        part = reader.read(size)
        if part.size_in_bytes:
            self.send(part)
        return part.size_in_bytes > 0

    def send(self, part: MemoryPart) -> None:
        """Begin to send the next part."""
        number = len(self._sent) + len(self._pending) + 1
        transfer = self._transfer(number, part)
        if self._sender is None:
            self._sender = Sender(transfer, lambda count: None)
        sending = self._pool.apply_async(self._sender.put, (transfer,))
        self._pending.append((number, part, sending))
        self._bytes_pending += part.size_in_bytes

    def finish(self) -> dict[int, StoredPart]:
        """Wait until the store has all parts; return what it should list.

        :raises TransferFailed: if the store does not take a part.
        """
        while self._pending:
            self._wait_for_oldest()
        return self._sent

    def _wait_for_oldest(self) -> None:
        number, part, sending = self._pending.popleft()
        try:
            sending.get()
        except TransferFailed as failure:
            self._send_again(number, part, failure)
        self._bytes_pending -= part.size_in_bytes
        self._sent[number] = StoredPart(part.size_in_bytes, part.md5)

    def _send_again(self, number: int, part: MemoryPart, failure: TransferFailed) -> None:
        """Send a part through new URLs, until the store takes it or refuses one of them, too."""
        for pause in self._pauses:
            was_refused = failure.refused
            time.sleep(0 if was_refused else pause)
            try:
                self._put(self._transfer(number, part))
                return
            except TransferFailed as again:
                failure = again
                if was_refused and failure.refused:
                    break
        raise failure

    def _put(self, transfer: Transfer) -> None:
        if self._sender is not None:
            self._sender.put(transfer)

    def _transfer(self, number: int, part: MemoryPart) -> Transfer:
        return Transfer(part, self._sign(number, part.md5))
