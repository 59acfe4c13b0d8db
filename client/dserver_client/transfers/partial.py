"""A partly fetched item: a file with the bytes that have arrived, which can be resumed.

Beside ``<identifier>.part`` lies ``<identifier>.arrived``. Its first line is JSON: what the item
and the store's object are. Each following line has the number of a part and how many of its bytes
are in the file. A line is written after its bytes, so that whatever ends the program at any moment
loses only what had not been written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from dserver_client.disk import no_links, write_all
from dserver_client.manifest import ManifestItem

# Larger items are fetched in parts, which are small: those that arrive at the same time wait to be
# hashed one after the other.
PART_SIZE = 8 << 20
_READ_BLOCK = 1 << 20


class ObjectChanged(Exception):
    """The store has another object than the one whose bytes have arrived."""


class Partial:
    """One item's file, whose parts several threads write.

    :param directory: where both files lie.
    :param part_size: the number of bytes in each part but the last, unless the file was begun with
        another number.
    """

    def __init__(self, directory: Path, item: ManifestItem, part_size: int = PART_SIZE) -> None:
        self.item = item
        self.path = directory / f"{item.identifier}.part"
        self._arrived_path = directory / f"{item.identifier}.arrived"
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._log: FileIO | None = None
        self._hashing = threading.Lock()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashed = 0
        # The first part that has not arrived, or the number of parts.
        self._front = 0
        self._is_ended = False
        self.has_begun = False
        self.etag: str | None = None
        self._divide(part_size)
        with suppress(OSError, ValueError, TypeError, KeyError):
            self._continue()

    def bounds(self, part: int) -> tuple[int, int]:
        """Return the first byte of a part, and the first after it."""
        first = part * self.part_size
        return first, min(first + self.part_size, self.item.size_in_bytes)

    def is_complete(self, part: int) -> bool:
        """Return whether all bytes of a part have arrived."""
        first, end = self.bounds(part)
        return self.arrived[part] == end - first

    def missing_parts(self) -> list[int]:
        """Return the parts that have not arrived yet."""
        return [part for part in range(len(self.arrived)) if not self.is_complete(part)]

    def open(self, etag: str | None) -> None:
        """Prepare for bytes of this object. Raise ObjectChanged if those that are there are not."""
        with self._lock:
            if self.has_begun and etag != self.etag:
                raise ObjectChanged
            if self._file is None:
                if self.has_begun:
                    self._file = FileIO(self.path, "r+", opener=no_links)
                    self._log = FileIO(self._arrived_path, "a", opener=no_links)
                    # After a line that was not written to its end.
                    self._log.write(b"\n")
                else:
                    # Another file than one that another process may be writing.
                    self._delete()
                    self._file, self._log = FileIO(self.path, "x"), FileIO(self._arrived_path, "x")
                    self._log.write(self._description(etag))
                self.has_begun, self.etag = True, etag

    def write(self, part: int, block: bytes) -> None:
        """Add bytes to a part, after those that have arrived."""
        with self._lock:
            assert self._file is not None  # noqa: S101 - it was opened
            assert self._log is not None  # noqa: S101
            offset = part * self.part_size + self.arrived[part]
            self._file.seek(offset)
            write_all(self._file, block)
            self.arrived[part] += len(block)
            self._log.write(b"%d %d\n" % (part, self.arrived[part]))
        # What arrives in order is hashed as it passes; the rest is read when it is its turn.
        if self._hashed == offset and self.item.hash and self._hashing.acquire(blocking=False):
            if self._hashed == offset:
                self._md5.update(block)
                self._hashed += len(block)
            self._hashing.release()

    def hash_arrived(self, check: Callable[[], None]) -> None:
        """Hash what has arrived without a gap, unless another thread does; call ``check`` often."""
        while self.item.hash and self._hashed < self._without_gap():
            if not self._hashing.acquire(blocking=False):
                return
            try:
                self._hash_until(self._without_gap(), check)
            finally:
                self._hashing.release()

    def is_whole(self) -> bool:
        """Tell once, to one thread, that all has arrived and is hashed."""
        size = self.item.size_in_bytes
        with self._lock:
            is_whole = self._without_gap() == size and (self._hashed == size or not self.item.hash)
            ends, self._is_ended = is_whole and not self._is_ended, self._is_ended or is_whole
            return ends

    def has_right_hash(self) -> bool:
        """Compare the MD5 of a file that is whole with the manifest's, if that has one."""
        return self.item.hash in (None, self._md5.hexdigest())

    def move(self, destination: str) -> None:
        """Give the file its name.

        Raise OSError if another process has begun the item anew, where no lock prevents it.
        """
        own = os.lstat(self.path) if self._file is None else os.fstat(self._file.fileno())
        self.close()
        os.replace(self.path, destination)
        if not os.path.samestat(own, os.lstat(destination)):
            os.unlink(destination)
            raise OSError(errno.EBUSY, "Another command is fetching the same", str(self.path))
        self._arrived_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files, which another Partial may continue."""
        with self._lock:
            for file in (self._file, self._log):
                if file is not None:
                    file.close()
            self._file = self._log = None

    def discard(self) -> None:
        """Delete the files."""
        self.close()
        self._delete()

    def _delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._arrived_path.unlink(missing_ok=True)

    def _divide(self, part_size: int) -> None:
        self.part_size = part_size
        self.arrived = [0] * max(1, -(-self.item.size_in_bytes // part_size))

    def _description(self, etag: str | None) -> bytes:
        described = {
            "etag": etag,
            "size_in_bytes": self.item.size_in_bytes,
            "hash": self.item.hash,
            "part_size": self.part_size,
        }
        return json.dumps(described).encode() + b"\n"

    def _continue(self) -> None:
        """Go on with what an earlier fetch has left, if it is of the same item."""
        found = self.path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return
        with open(self._arrived_path, "rb", opener=no_links) as file:
            first, *lines = file.read().split(b"\n")
        described = json.loads(first)
        size, md5 = described["size_in_bytes"], described["hash"]
        if (size, md5) != (self.item.size_in_bytes, self.item.hash):
            return
        self._divide(int(described["part_size"]))
        self.has_begun, self.etag = True, described["etag"]
        for line in lines:
            # The last line may have only some of its digits.
            part, _, arrived = line.partition(b" ")
            if part.isdigit() and arrived.isdigit() and int(part) < len(self.arrived):
                start, end = self.bounds(int(part))
                known = min(int(arrived), end - start, max(0, found.st_size - start))
                self.arrived[int(part)] = max(self.arrived[int(part)], known)

    def _without_gap(self) -> int:
        """Return how many bytes have arrived before the first that has not."""
        front = self._front
        while front < len(self.arrived) and self.is_complete(front):
            front += 1
        self._front = front
        if front == len(self.arrived):
            return self.item.size_in_bytes
        return front * self.part_size + self.arrived[front]

    def _hash_until(self, end: int, check: Callable[[], None]) -> None:
        with open(self.path, "rb", buffering=0, opener=no_links) as file:
            file.seek(self._hashed)
            while self._hashed < end:
                check()
                block = file.read(min(_READ_BLOCK, end - self._hashed))
                if not block:
                    raise OSError(f"{self.path} has become shorter")
                self._md5.update(block)
                self._hashed += len(block)
