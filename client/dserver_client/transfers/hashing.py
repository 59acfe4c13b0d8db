"""Compute the MD5s of files, several at a time, before anything is sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import FileIO

from dserver_client.errors import LocalFileError
from dserver_client.local_files import LocalFile
from dserver_client.progress import NoProgress, Progress
from dserver_client.transfers.scheduler import Limit, run

_BLOCK = 1024 * 1024
# Small files are read in one go, and several of them by one task.
_BATCH_FILES = 64
_BATCH_BYTES = 4 * _BLOCK
_MAX_THREADS = 8


def hash_files(
    files: Iterable[LocalFile],
    part_size: int,
    hashed: Callable[[Sequence[LocalFile]], None],
    progress: Progress,
) -> None:
    """Fill in the MD5s of files, and those of the parts of files that are larger than a part.

    :param hashed: is called with files whose MD5s are known now, from any thread.
    :raises FileChanged: if one changes while it is read.
    :raises LocalFileError: if one cannot be read.
    """
    number = min(os.cpu_count() or 1, _MAX_THREADS)
    limit = Limit(number, number)
    with ThreadPoolExecutor(number, "hash-parts") as helpers:
        reader = _Reader(part_size, progress, limit, helpers)

        def task(batch: Sequence[LocalFile]) -> None:
            for file in batch:
                reader.read(file)
            hashed(batch)

        run((partial(task, batch) for batch in _batches(files)), limit)


def hash_parts(file: LocalFile, part_size: int, limit: Limit) -> None:
    """Fill in the MD5s of the parts of a file whose own MD5 is known.

    The file is read once more, because the MD5s of its parts say something of the whole only if
    they come from one reading.

    :raises FileChanged: if it is not as it was, or no longer has the MD5 that is known.
    :raises LocalFileError: if it cannot be read.
    """
    with ThreadPoolExecutor(1, "hash-parts") as helpers:
        _Reader(part_size, NoProgress(), limit, helpers).read_again(file)


def _batches(files: Iterable[LocalFile]) -> Iterator[Sequence[LocalFile]]:
    batch: list[LocalFile] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.size_in_bytes
        if len(batch) == _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Reader:
    """Reads files, each once."""

    def __init__(self, part_size: int, progress: Progress, limit: Limit, helpers: Executor) -> None:
        self._part_size = part_size
        self._progress = progress
        self._limit = limit
        self._helpers = helpers

    def read(self, file: LocalFile) -> None:
        """Fill in the MD5s of a file, as it is now."""
        with _opened(file) as opened:
            file.look_again(os.fstat(opened.fileno()))
            parts = _PartHashes(self._part_size if file.size_in_bytes > self._part_size else 0)
            if file.size_in_bytes <= _BLOCK:
                md5 = hashlib.md5(opened.readall(), usedforsecurity=False).hexdigest()
                self._progress.advance(file.size_in_bytes, 1)
            else:
                md5 = self._read_blocks(file, opened, parts)
                self._progress.advance(0, 1)
            file.check(os.fstat(opened.fileno()))
        file.md5, file.part_size, file.part_md5s = md5, parts.size, parts.finish()

    def read_again(self, file: LocalFile) -> None:
        """Fill in the MD5s of the parts of a file that has not changed since it was read."""
        parts = _PartHashes(self._part_size)
        with _opened(file) as opened:
            file.check(os.fstat(opened.fileno()))
            md5 = self._read_blocks(file, opened, parts)
            file.check(os.fstat(opened.fileno()))
        if md5 != file.md5:
            raise file.changed()
        file.part_size, file.part_md5s = parts.size, parts.finish()

    def _read_blocks(self, file: LocalFile, opened: FileIO, parts: _PartHashes) -> str:
        """Read a large file; a second thread computes the MD5s of parts from the same blocks."""
        whole = hashlib.md5(usedforsecurity=False)
        buffer = memoryview(bytearray(_BLOCK))
        left = file.size_in_bytes
        while left and (length := opened.readinto(buffer[: min(left, _BLOCK)])):
            self._limit.check()
            block = buffer[:length]
            helper = self._helpers.submit(parts.update, block) if parts.size else None
            whole.update(block)
            if helper is not None:
                helper.result()
            left -= length
            self._progress.advance(length)
        if left:
            raise file.changed()
        return whole.hexdigest()


@contextmanager
def _opened(file: LocalFile) -> Iterator[FileIO]:
    """Open a file; what goes wrong with it is a LocalFileError."""
    try:
        with open(file.path, "rb", buffering=0) as opened:
            yield opened
    except OSError as error:
        raise LocalFileError.of(error, file.path) from error


class _PartHashes:
    """The MD5s of parts of ``size`` bytes; of none if that is 0."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._done: list[str] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._left = size

    def update(self, block: memoryview) -> None:
        """Take the next bytes of the file."""
        while block:
            piece = block[: self._left]
            self._part.update(piece)
            self._left -= len(piece)
            block = block[len(piece) :]
            if not self._left:
                self._next()

    def finish(self) -> Sequence[str]:
        """Return the MD5 of every part."""
        if self._left < self.size:
            self._next()
        return self._done

    def _next(self) -> None:
        self._done.append(self._part.hexdigest())
        self._part = hashlib.md5(usedforsecurity=False)
        self._left = self.size


def md5_of_range(file: LocalFile, offset: int, size_in_bytes: int, limit: Limit) -> str:
    """Return the MD5 of some bytes of a file, as they are now.

    :raises LocalFileError: if it cannot be read.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    buffer = memoryview(bytearray(min(size_in_bytes, _BLOCK)))
    left = size_in_bytes
    with _opened(file) as opened:
        opened.seek(offset)
        while left and (length := opened.readinto(buffer[: min(left, _BLOCK)])):
            limit.check()
            md5.update(buffer[:length])
            left -= length
    return md5.hexdigest()
