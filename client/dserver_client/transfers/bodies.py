"""Request bodies: all of a small local file, or a range of a large one in blocks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from io import FileIO
from typing import IO, cast

from dserver_client.errors import LocalFileError
from dserver_client.local_files import LocalFile

# A file of up to so many bytes is read in one go; 64 connections hold as many at the same time.
SMALL = 256 * 1024

_md5 = partial(hashlib.md5, usedforsecurity=False)


def read_whole(file: LocalFile, md5: str | None = None) -> bytes:
    """Return the content of a small file.

    :param md5: what the content must have, if the store does not compare it.
    :raises FileChanged: if it is not as it was when its MD5 was computed.
    """
    try:
        with open(file.path, "rb", buffering=0) as opened:
            content = opened.readall()
            file.check(os.fstat(opened.fileno()))
    except OSError as error:
        raise LocalFileError.of(error, file.path) from error
    if len(content) != file.size_in_bytes or md5 not in (None, _md5(content).hexdigest()):
        raise file.changed()
    return content


class FileRange:
    """Opens some bytes of a file for every attempt to send them.

    :param md5: what they must have, if the store does not compare it: the last block of other bytes
        is not sent, so that the store keeps none of them.
    :param sent: is called with the bytes of every block, and with a negative number when an
        attempt begins again.
    """

    def __init__(
        self,
        file: LocalFile,
        offset: int,
        size_in_bytes: int,
        sent: Callable[[int], None],
        md5: str | None = None,
    ) -> None:
        self._file, self._offset, self._size, self._sent = file, offset, size_in_bytes, sent
        self._md5 = md5
        self._counted = 0

    def open(self) -> IO[bytes]:
        """Return the bytes as a file.

        :raises FileChanged: if the file is not as it was when its MD5 was computed.
        """
        self.take_back()
        opened = _OpenRange(self._file, self._offset, self._size, self._count, self._md5)
        return cast(IO[bytes], opened)

    def take_back(self) -> None:
        """Count what was sent as not sent."""
        self._count(-self._counted)

    def _count(self, size_in_bytes: int) -> None:
        if size_in_bytes:
            self._counted += size_in_bytes
            self._sent(size_in_bytes)


class _OpenRange:
    """What urllib3 needs of a file: ``read`` and ``close``."""

    def __init__(
        self,
        file: LocalFile,
        offset: int,
        size_in_bytes: int,
        sent: Callable[[int], None],
        md5: str | None,
    ) -> None:
        self._file, self._left, self._sent = file, size_in_bytes, sent
        self._wanted, self._md5 = md5, _md5()
        try:
            self._opened = FileIO(file.path)
            self._opened.seek(offset)
        except OSError as error:
            raise LocalFileError.of(error, file.path) from error
        self._check()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end. Raise FileChanged, also if they are too few."""
        wanted = self._left if size < 0 else min(size, self._left)
        try:
            block = self._opened.read(wanted)
        except OSError as error:
            raise LocalFileError.of(error, self._file.path) from error
        if len(block) < wanted and not block:
            self.close()
            raise self._file.changed()
        self._left -= len(block)
        if self._wanted is not None:
            self._md5.update(block)
        self._sent(len(block))
        if not self._left:
            self._check()
        return block

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _check(self) -> None:
        try:
            self._file.check(os.fstat(self._opened.fileno()))
            if not self._left and self._wanted not in (None, self._md5.hexdigest()):
                raise self._file.changed()
        except BaseException:
            self.close()
            raise
