"""Find the files to deposit and their relpaths, and detect whether they change."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dserver_client.errors import FileChanged, LocalFileError, UsageError, reason_of

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# How many problems one error names.
_NAMED = 10


@dataclass(slots=True)
class LocalFile:
    """A file to send, as it was when it was listed: bytes, modification time, number on its disk.

    ``md5`` and those of its parts of ``part_size`` bytes are filled in when it has been read.
    """

    relpath: str
    path: str
    size_in_bytes: int
    mtime_ns: int
    inode: int
    md5: str | None = None
    part_size: int = 0
    part_md5s: Sequence[str] = ()

    @classmethod
    def of(cls, path: str, relpath: str) -> LocalFile:
        """Look at a file.

        :raises LocalFileError: if it is not a regular file, or cannot be read.
        """
        try:
            found = os.stat(path)
        except OSError as error:
            raise LocalFileError.of(error, path) from error
        problem = _problem(path, relpath, found)
        if problem is not None:
            raise LocalFileError(f"{path}: {problem}.")
        return cls(relpath, path, found.st_size, found.st_mtime_ns, found.st_ino)

    @property
    def identifier(self) -> str:
        """Return dtool's identifier of the item: the SHA-1 of its relpath."""
        return identifier_of(self.relpath)

    def look_again(self, found: os.stat_result) -> None:
        """Take what the file is now; what was read of it counts no more if it has changed."""
        if not self.is_as(found) or self.inode != found.st_ino:
            self._forget_md5s()
        self.size_in_bytes = found.st_size
        self.mtime_ns = found.st_mtime_ns
        self.inode = found.st_ino

    def is_as(self, found: os.stat_result) -> bool:
        """Return whether the file has the size and time that it had."""
        return found.st_size == self.size_in_bytes and found.st_mtime_ns == self.mtime_ns

    def check(self, found: os.stat_result) -> None:
        """Raise FileChanged if the file has not the size and time that it had."""
        if not self.is_as(found):
            raise self.changed()

    def changed(self) -> FileChanged:
        """Return the error that names this file, whose MD5 is not known any more."""
        self._forget_md5s()
        return FileChanged(
            f"{self.path} has changed while it was deposited. Nothing is registered. When nothing "
            "writes to it any more, 'dserver put --restart' (in Python: restart=True) deposits "
            "what is there then; with the same content as before, the same command goes on."
        )

    def _forget_md5s(self) -> None:
        self.md5, self.part_size, self.part_md5s = None, 0, ()


def identifier_of(relpath: str) -> str:
    """Return what dtool's ``generate_identifier`` does, which takes 0.2 s to import."""
    return hashlib.sha1(relpath.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Source:
    """What is deposited: files, and the names by which an interrupted deposit is found again."""

    names: Sequence[str]
    files: Sequence[LocalFile]

    @property
    def size_in_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.size_in_bytes for file in self.files)


def find_files(paths: Sequence[str | os.PathLike[str]], ignore: Iterable[str] = ()) -> Source:
    """List the files of a directory, or of several directories and files.

    Relpaths begin below a directory that is alone; of several, each keeps its name. Symbolic links
    are followed, except into a directory that they lie in.

    :param ignore: patterns as in ``.gitignore``, against relpaths.
    :raises UsageError: if two files would have the same relpath.
    :raises LocalFileError: with everything that cannot be read, or is no file.
    """
    # Its import takes longer than many commands need.
    from pathspec import GitIgnoreSpec  # noqa: PLC0415

    given = [os.path.abspath(path) for path in paths]
    listing = _Listing(GitIgnoreSpec.from_lines(ignore))
    for path in given:
        listing.add(path, "" if len(given) == 1 else os.path.basename(path))
    if listing.problems:
        raise LocalFileError(_listed("These cannot be deposited:", listing.problems))
    files = sorted(listing.files, key=lambda file: file.relpath)
    _refuse_collisions(files)
    return Source(sorted(given), files)


class _Listing:
    """Files found, and problems."""

    def __init__(self, ignored: GitIgnoreSpec) -> None:
        self._ignored = ignored
        self.files: list[LocalFile] = []
        self.problems: list[str] = []

    def add(self, path: str, relpath: str) -> None:
        """Add a file, or what is below a directory; ``relpath`` is empty for the top."""
        try:
            found = os.stat(path)
        except OSError as error:
            self._note(path, error)
            return
        if stat.S_ISDIR(found.st_mode):
            self._walk(path, relpath, found)
        else:
            self._add_file(path, relpath or os.path.basename(path), found)

    def _walk(self, path: str, relpath: str, found: os.stat_result) -> None:
        # Directories still to be read, each with those that it lies in, to see where a link leads
        # back.
        top = (found.st_dev, found.st_ino)
        waiting: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [(path, relpath, (top,))]
        while waiting:
            directory, below, above = waiting.pop()
            for entry in self._entries(directory):
                name = f"{below}/{entry.name}" if below else entry.name
                try:
                    is_directory, found = entry.is_dir(), os.stat(entry.path)
                except OSError as error:
                    if not self._ignored.match_file(name):
                        self._note(entry.path, error)
                    continue
                if self._ignored.match_file(f"{name}/" if is_directory else name):
                    continue
                if not is_directory:
                    self._add_file(entry.path, name, found)
                elif (key := (found.st_dev, found.st_ino)) not in above:
                    waiting.append((entry.path, name, (*above, key)))

    def _entries(self, directory: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                yield from entries
        except OSError as error:
            self._note(directory, error)

    def _add_file(self, path: str, relpath: str, found: os.stat_result) -> None:
        problem = _problem(path, relpath, found)
        if problem is not None:
            self.problems.append(f"{_printable(path)}: {problem}")
            return
        self.files.append(LocalFile(relpath, path, found.st_size, found.st_mtime_ns, found.st_ino))

    def _note(self, path: str, error: OSError) -> None:
        self.problems.append(f"{_printable(path)}: {reason_of(error)}")


def refuse_empty(source: Source, paths: Sequence[str | os.PathLike[str]]) -> None:
    """Raise UsageError if there are no files: a directory may be mistyped, or not mounted."""
    if not source.files:
        named = ", ".join(str(path) for path in paths)
        raise UsageError(f"There are no files to deposit in {named}, or all of them are ignored.")


def _problem(path: str, relpath: str, found: os.stat_result) -> str | None:
    """Return why a file cannot be an item, or None."""
    if not stat.S_ISREG(found.st_mode):
        return "neither a file nor a directory"
    if not os.access(path, os.R_OK):
        return "you may not read it"
    if not relpath.isprintable() and any(
        unicodedata.category(character) in ("Cc", "Cs") for character in relpath
    ):
        return "its name has a control character, or is not valid Unicode"
    return None


def _refuse_collisions(files: Sequence[LocalFile]) -> None:
    pairs = [
        f"{one.path} and {other.path}"
        for one, other in pairwise(files)
        if one.relpath == other.relpath
    ]
    if pairs:
        raise UsageError(
            _listed(
                "These have the same name in the dataset; give the directory that holds both:",
                pairs,
            )
        )


def _listed(sentence: str, lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return "\n  ".join([sentence, *lines[:_NAMED], *more])


def _printable(path: str) -> str:
    return path if path.isprintable() else repr(path)
