"""Finds and reads the local files that become the items of a dataset."""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path, PurePath
from typing import BinaryIO

import dtoolcore.utils
import msgspec

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.progress import Progress
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.plan import is_time

_BLOCK = 256 * 1024  # bytes
# Follows no link, and does not wait for a writer of a pipe.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# One in another; the client refuses more, too.
_MAX_DIRECTORIES = 256
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(eq=False)
class UnusableFile(SignedURLError):
    """A local file or directory cannot become an item."""

    status, slug = 400, "unusable-file"
    sentence = "{self.problem}"

    problem: str


@dataclass(eq=False)
class ChangedFile(SignedURLError):
    """A file is no longer what was announced."""

    status, slug = 409, "changed-file"
    sentence = "{self.path!r} changed while it was sent; share it again when it is complete."

    path: str


@dataclass(frozen=True)
class LocalFile:
    """A local file and its item, which has an MD5 once the file has been read.

    Only the file that was found is read: a user who can write to its directory might replace it, or
    a directory below ``top``, by a link to another file.
    """

    path: Path
    item: Item
    # The path on the command line, and the names of the directories and the file below it.
    top: Path
    below: tuple[str, ...]
    # Device and inode.
    identity: tuple[int, int]
    is_executable: bool = False

    def blocks(self, start: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes from ``start`` on in blocks, or what there is of them.

        :raises UnusableFile: if the file cannot be read, or has been replaced.
        """
        with _named(self.path), self._opened() as stream:
            stream.seek(start)
            while size and (block := stream.read(min(_BLOCK, size))):
                yield block
                size -= len(block)

    def read(self, progress: Progress) -> LocalFile:
        """Return the file with its current MD5 and size.

        :param progress: called with the number of bytes of each block.
        :raises UnusableFile: if the file cannot be read, or changes while it is read.
        """
        digest, size = md5(usedforsecurity=False), 0
        for block in self.unchanged_blocks():
            digest.update(block)
            size += len(block)
            progress(len(block))
        item = msgspec.structs.replace(self.item, size_in_bytes=size, hash=digest.hexdigest())
        return replace(self, item=item)

    def unchanged_blocks(self) -> Iterator[bytes]:
        """Yield all bytes in blocks.

        :raises UnusableFile: if the file cannot be read, or changes while it is read.
        """
        size = 0
        with _named(self.path), self._opened() as stream:
            before = os.fstat(stream.fileno())
            while block := stream.read(_BLOCK):
                size += len(block)
                yield block
            after = os.fstat(stream.fileno())
        if size != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
            raise self.changed()

    def changed(self) -> UnusableFile:
        """Return the error that the file has changed since it was found or opened."""
        return UnusableFile(
            f"{str(self.path)!r} changed while it was read; share it when it is complete."
        )

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        descriptor = os.open(self.top, _OPEN_FLAGS)
        for name in self.below:
            descriptor = _entered(descriptor, name)
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or _identity(info) != self.identity:
            os.close(descriptor)
            raise UnusableFile(
                f"{str(self.path)!r} is no longer the file that was found: another was put in its "
                "place. Share it again if that is meant."
            )
        with open(descriptor, "rb") as stream:
            yield stream


@dataclass(frozen=True)
class FileRange:
    """Bytes of a local file from ``start`` on, and their MD5 (32 hex digits)."""

    file: LocalFile
    start: int
    size_in_bytes: int
    md5: str

    @classmethod
    def whole(cls, file: LocalFile) -> FileRange:
        """Return all of a file that was read."""
        return cls(file, 0, file.item.size_in_bytes or 0, file.item.hash or "")

    @property
    def path(self) -> str:
        """The path of the file."""
        return str(self.file.path)

    @property
    def relpath(self) -> str:
        """The relpath of the item."""
        return self.file.item.relpath

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes in blocks.

        :raises ChangedFile: at the end, if they are others.
        :raises UnusableFile: if the file cannot be read, or has been replaced.
        """
        digest, left = md5(usedforsecurity=False), self.size_in_bytes
        for block in self.file.blocks(self.start, left):
            yield block
            digest.update(block)
            left -= len(block)
        if left or digest.hexdigest() != self.md5:
            raise ChangedFile(str(self.file.path))


def found(paths: Iterable[Path]) -> list[LocalFile]:
    """Return the files, and all files below the directories.

    The relpath of a file is its name; below a directory it starts with the name of the directory.

    :raises UnusableFile: if a path is neither a file nor a directory, a directory has no file, or
        two files have the same relpath.
    """
    files = [file for path in paths for file in _files_of(path)]
    _refuse_namesakes(files)
    return files


def dataset_name(path: Path) -> str:
    """Return a valid dtool name that resembles the name of a file or directory."""
    plain = unicodedata.normalize("NFKD", file_name(path))
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    name = _NO_NAME.sub("-", bare).strip("-.")
    return name[: dtoolcore.utils.MAX_NAME_LENGTH] or "share"


def file_name(path: Path) -> str:
    """Return the name of a file or directory, also of one like ``.``."""
    return Path(os.path.abspath(path)).name


def _files_of(top: Path) -> Sequence[LocalFile]:
    files = []
    for below, info in _regular(top):
        item = _item(PurePath(file_name(top), *below), info)
        path, may_run = top.joinpath(*below), bool(info.st_mode & stat.S_IXUSR)
        files.append(LocalFile(path, item, top, below, _identity(info), may_run))
    if not files:
        raise UnusableFile(f"{str(top)!r} holds no file; name one that does.")
    return files


def _regular(top: Path) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    """Yield a file, or all files below a directory, sorted by name."""
    with _named(top):
        info = os.lstat(top)
    if not _is_directory(top, info):
        yield (), info
        return
    with _named(top):
        descriptor = os.open(top, _OPEN_FLAGS | os.O_DIRECTORY)
    yield from _regular_in(descriptor, top, ())


def _regular_in(
    directory: int, top: Path, below: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    """Yield the files of an open directory, and close it."""
    try:
        if len(below) > _MAX_DIRECTORIES:
            raise UnusableFile(
                f"{str(top)!r} has more than {_MAX_DIRECTORIES} directories one in another; "
                "share an archive of it through a pipe."
            )
        with _named(top.joinpath(*below)):
            names = sorted(os.listdir(directory))
        for name in names:
            here = (*below, name)
            path = top.joinpath(*here)
            with _named(path):
                info = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not _is_directory(path, info):
                yield here, info
                continue
            with _named(path):
                inner = os.open(name, _OPEN_FLAGS | os.O_DIRECTORY, dir_fd=directory)
            yield from _regular_in(inner, top, here)
    finally:
        os.close(directory)


def _is_directory(path: Path, info: os.stat_result) -> bool:
    """Return whether a path is a directory.

    :raises UnusableFile: if it is neither a directory nor a regular file.
    """
    if stat.S_ISDIR(info.st_mode):
        return True
    if not stat.S_ISREG(info.st_mode):
        raise UnusableFile(
            f"{str(path)!r} is a symbolic link or a special file; only files and directories "
            "can be shared: name what it stands for."
        )
    return False


def _entered(directory: int, name: str) -> int:
    """Open an entry of a directory, and close the directory."""
    try:
        return os.open(name, _OPEN_FLAGS, dir_fd=directory)
    finally:
        os.close(directory)


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _item(relpath: PurePath, info: os.stat_result) -> Item:
    name = relpath.as_posix()
    try:
        identifier = dtoolcore.utils.generate_identifier(name)
    except UnicodeEncodeError as error:
        raise UnusableFile(f"The name {name!r} is not UTF-8; rename the file.") from error
    # Some times of file systems are out of dserver's range.
    written = info.st_mtime if is_time(info.st_mtime) else None
    return Item(identifier, name, info.st_size, utc_timestamp=written)


def _refuse_namesakes(files: Iterable[LocalFile]) -> None:
    known: dict[str, LocalFile] = {}
    for file in files:
        other = known.setdefault(file.item.relpath, file)
        if other is not file:
            raise UnusableFile(
                f"{str(other.path)!r} and {str(file.path)!r} would both be called "
                f"{file.item.relpath!r}; rename one, or share their directories."
            )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Translate errors of the operating system, with the path of the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnusableFile(
                f"{str(path)!r} is no longer what was found: a link or something else was put in "
                "its place, or in that of its directory."
            ) from error
        raise UnusableFile(f"{str(path)!r} cannot be read: {error.strerror}.") from error
