"""Files of this machine that are to become items: found, named, read.

Knows the file system and what dtool calls an item; never sees a store or a row.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path, PurePath

import dtoolcore.utils

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.plans import is_time
from dserver_signed_url_plugin.storage.base import Item

_BLOCK = 256 * 1024  # bytes
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")

Told = Callable[[int], None]


class UnusableFile(SignedURLError):
    """A file or directory of this machine cannot become an item; the message names it."""

    status, slug = 400, "unusable-file"


@dataclass(frozen=True)
class LocalFile:
    """A file, and the item that it is to become; size in bytes, MD5 once it has been read."""

    path: Path
    item: Item

    def blocks(self) -> Iterator[bytes]:
        """Read it, some bytes at a time.

        :raises UnusableFile: if it cannot be read (any more).
        """
        with _named(self.path), self.path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                yield block

    def read(self, told: Told) -> LocalFile:
        """Return it with the MD5 and size of what is in it now.

        :param told: is called with the number of bytes, as they are read.
        :raises UnusableFile: if it cannot be read.
        """
        digest, size = md5(usedforsecurity=False), 0
        for block in self.blocks():
            digest.update(block)
            size += len(block)
            told(len(block))
        return replace(self, item=replace(self.item, size_in_bytes=size, hash=digest.hexdigest()))


def found(paths: Iterable[Path]) -> list[LocalFile]:
    """Return the files, and all files below the directories, by relpath.

    A file's relpath is its name; below a directory it starts with the directory's.

    :raises UnusableFile: at what is neither file nor directory, has no file, or no name of its own.
    """
    files = [file for path in paths for file in _files_of(path)]
    _refuse_namesakes(files)
    return files


def dataset_name(path: Path) -> str:
    """Return the name of a file or directory, as near as dtool's names come to it."""
    plain = unicodedata.normalize("NFKD", _name(path))
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    name = _NO_NAME.sub("-", bare).strip("-.")
    return name[: dtoolcore.utils.MAX_NAME_LENGTH] or "share"


def _files_of(path: Path) -> Sequence[LocalFile]:
    files = [
        LocalFile(file, _item(PurePath(_name(path)) / file.relative_to(path), info))
        for file, info in _regular(path)
    ]
    if not files:
        raise UnusableFile(f"{str(path)!r} holds no file; name one that does.")
    return files


def _regular(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield a file, or every file below a directory, in the order of their names."""
    waiting = [path]
    while waiting:
        path = waiting.pop()
        with _named(path):
            info = path.lstat()
            if stat.S_ISDIR(info.st_mode):
                waiting += sorted(path.iterdir(), reverse=True)
                continue
        if not stat.S_ISREG(info.st_mode):
            raise UnusableFile(
                f"{str(path)!r} is a symbolic link or a special file; only files and directories "
                "can be shared: name what it stands for."
            )
        yield path, info


def _item(relpath: PurePath, info: os.stat_result) -> Item:
    name = relpath.as_posix()
    try:
        identifier = dtoolcore.utils.generate_identifier(name)
    except UnicodeEncodeError as error:
        raise UnusableFile(f"The name {name!r} is not UTF-8; rename the file.") from error
    # A file system may hold times that dserver cannot.
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


def _name(path: Path) -> str:
    return Path(os.path.abspath(path)).name


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error say which file it is about."""
    try:
        yield
    except OSError as error:
        raise UnusableFile(f"{str(path)!r} cannot be read: {error.strerror}.") from error
