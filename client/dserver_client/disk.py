"""Write files atomically, durably, and never through symbolic links."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile

from dserver_client.errors import LocalFileError

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Windows flushes only what is opened for writing.
_SYNC_FLAGS = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
# Of file systems that cannot flush a file or a directory, and of files that may not be opened.
_NOT_FLUSHED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EACCES, errno.EPERM}
_THREADS = 16


def no_links(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """Open a file that is no symbolic link; an ``opener`` of ``open``. Raise OSError if it is."""
    # Where the system has no flag for it.
    if not _NOFOLLOW and os.path.islink(path):
        raise _is_link(path)
    try:
        return os.open(path, flags | _NOFOLLOW, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _is_link(path) from None
        raise


def make_own_directory(path: Path) -> None:
    """Make a directory that only its owner may enter; what is above it has to be there.

    :raises LocalFileError: if there is a link, a file, or a directory of another person.
    :raises OSError: if it cannot be made.
    """
    # On Windows, what is moved out of such a directory would stay private.
    mode = 0o777 if sys.platform == "win32" else 0o700
    with suppress(FileExistsError):
        path.mkdir(mode)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise LocalFileError(f"{path} has to be a directory, and no link to one.")
    if not _is_own(found, path.parent):
        raise LocalFileError(f"{path} belongs to another person, who may have left links in it.")


def write_all(file: FileIO, content: bytes) -> None:
    """Write bytes without a buffer; one call may write only some of them, as on a full disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def write_whole(path: Path, content: bytes, directory: Path) -> None:
    """Write a file, which has the old content or the new one after a power cut.

    :param directory: where it is written before it gets its name, on the same file system.
    """
    new = directory / f"{token_hex(8)}.part"
    try:
        with FileIO(new, "x") as file:
            write_all(file, content)
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def sync(files: Collection[str]) -> None:
    """Wait until files, and their names, are on the disk: many at a time, which is much faster.

    Raise OSError for what the disk could not take, which some file systems say only then.
    """
    _sync_all(list(files))
    if sys.platform != "win32":
        _sync_all(list({os.path.dirname(path) for path in files}))


def _sync_all(paths: Sequence[str]) -> None:
    stopped = threading.Event()

    def sync_some(some: Sequence[str]) -> None:
        for path in some:
            if stopped.is_set():
                return
            _sync(path)

    with ThreadPoolExecutor(_THREADS) as threads:
        shares = [paths[first::_THREADS] for first in range(min(_THREADS, len(paths)))]
        syncing = [threads.submit(sync_some, share) for share in shares]
        try:
            for each in syncing:
                each.result()
        finally:
            stopped.set()


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, _SYNC_FLAGS)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FLUSHED:
            raise OSError(error.errno, error.strerror, path) from error


def _is_own(found: os.stat_result, directory: Path) -> bool:
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        # Some network file systems give everything to one user.
        with TemporaryFile(dir=directory) as file:
            return found.st_uid == os.fstat(file.fileno()).st_uid
    return True


def _is_link(path: str | os.PathLike[str]) -> OSError:
    return OSError(errno.ELOOP, "Symbolic links are not followed here", os.fspath(path))
