"""A lock that one process at a time can hold, released when the process ends in any way."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from dserver_client.disk import no_links

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_PAUSE = 0.005  # seconds between two attempts


class Locked(Exception):
    """Another process, or another lock in this one, has the file."""


class FileLock:
    """A lock on a file, which is created when the lock is taken and deleted when it is released.

    On file systems without locks, such as some network file systems, everybody gets it.

    :param wait: seconds to wait for another holder.
    """

    def __init__(self, path: Path, wait: float = 0.0) -> None:
        self._path = path
        self._wait = wait
        self._descriptor = -1

    def __enter__(self) -> FileLock:
        """Take the lock; make its directory if necessary. Raise Locked if it stays taken.

        Raise OSError if the file cannot be made, or is a symbolic link.
        """
        end = time.monotonic() + self._wait
        while True:
            try:
                return self._take()
            except Locked:
                if time.monotonic() >= end:
                    raise
            time.sleep(_PAUSE)

    def _take(self) -> FileLock:
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = no_links(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                continue  # The holder before has deleted the directory, too.
            try:
                _lock(descriptor)
            except (BlockingIOError, PermissionError):
                os.close(descriptor)
                raise Locked(str(self._path)) from None
            except OSError:
                pass  # This file system has no locks.
            # Whoever had the lock before may have deleted the file since it was opened here.
            if self._is_current(descriptor):
                self._descriptor = descriptor
                return self
            os.close(descriptor)

    def __exit__(self, *_: object) -> None:
        """Delete the file and release the lock; Windows deletes only what is closed."""
        if sys.platform == "win32":
            os.close(self._descriptor)
        with suppress(OSError):
            self._path.unlink()
        if sys.platform != "win32":
            os.close(self._descriptor)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False
