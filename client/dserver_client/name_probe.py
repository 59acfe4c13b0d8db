"""Which names a file system can hold, found out by creating files with such names in it.

The operating system does not say it: a disk that is formatted for Windows may be mounted on Linux,
and macOS has file systems that distinguish upper and lower case and others that do not.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

from dserver_client.errors import LocalFileError

# Source: Microsoft, "Naming Files, Paths, and Namespaces".
_DEVICE = r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])"
RESERVED_NAME = re.compile(rf"{_DEVICE}(?:\.|\Z)", re.I)
RESERVED_IN_PATH = re.compile(rf"(?:\A|/){_DEVICE}(?:[./]|\Z)", re.I)

_PLAIN_CHARACTERS = frozenset(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-+=@#,.() "
)
_LONG = 200
_CHARACTERS_PER_NAME = 50
_NOT_OF_THE_NAME = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


class NameProbe:
    """Tries names in a directory of its own inside ``directory``; used with ``with``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "names"
        self._is_exact: bool | None = None

    def __enter__(self) -> NameProbe:
        return self

    def __exit__(self, *_: object) -> None:
        if self._directory.exists():
            self._clear()
            self._directory.rmdir()

    def unusable(self, names: Iterable[str]) -> dict[str, str]:
        """Return the names that cannot be held, each with what is wrong with it."""
        special = {name for name in names if _is_special(name)}
        unusable = {
            name: "is a name that this file system cannot hold"
            for name in sorted(special)
            if not self._holds(name)
        }
        others = set(names) - special
        refused = self._refused_characters(set().union(*others) - _PLAIN_CHARACTERS)
        if refused:
            for name in others:
                if found := sorted(refused.intersection(name)):
                    listed = " ".join(map(ascii, found))
                    unusable[name] = f"has characters that this file system cannot hold: {listed}"
        return unusable

    def is_exact(self) -> bool:
        """Return whether names that differ in case, or in the form of a character, are distinct."""
        if self._is_exact is None:
            self._is_exact = not (self.are_same("a", "A") or self.are_same("\u00e9", "e\u0301"))
        return self._is_exact

    def are_same(self, name: str, other: str) -> bool:
        """Return whether both names are those of the same file."""
        if name == other:
            return True
        created = self._create(name)
        is_same = created and os.path.lexists(self._directory / other)
        self._clear()
        return is_same

    def _refused_characters(self, characters: set[str]) -> set[str]:
        """Try many characters in one name, and only if it is refused each of them."""
        refused: set[str] = set()
        ordered = sorted(characters)
        for first in range(0, len(ordered), _CHARACTERS_PER_NAME):
            group = ordered[first : first + _CHARACTERS_PER_NAME]
            if not self._holds(f"x{''.join(group)}x"):
                refused.update(one for one in group if not self._holds(f"x{one}x"))
        return refused

    def _holds(self, name: str) -> bool:
        """Return whether a file is listed under the name with which it was created.

        Windows opens a device for NUL, a stream of ``a`` for ``a:b``, and drops a dot at the end.
        """
        created = self._create(name)
        wanted = normalize("NFC", name)
        return created and any(normalize("NFC", found) == wanted for found in self._clear())

    def _create(self, name: str) -> bool:
        try:
            self._directory.mkdir(exist_ok=True)
            os.close(os.open(self._directory / name, os.O_CREAT | os.O_WRONLY, 0o600))
        except ValueError:  # a NUL, or what cannot be encoded
            return False
        except OSError as error:
            if error.errno in _NOT_OF_THE_NAME or not self._directory.exists():
                raise LocalFileError.of(error, self._directory) from error
            return False
        return True

    def _clear(self) -> list[str]:
        found = os.listdir(self._directory)
        for name in found:
            with suppress(OSError):
                os.unlink(self._directory / name)
        return found


def _is_special(name: str) -> bool:
    """Return whether it depends on more than its characters whether a name can be held."""
    return (
        name[-1:] in (" ", ".")
        or name[:1] == " "
        or RESERVED_NAME.match(name) is not None
        or len(name.encode(errors="surrogatepass")) > _LONG
    )
