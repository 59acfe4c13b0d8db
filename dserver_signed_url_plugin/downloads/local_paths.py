"""Relative paths under which items can be saved on any system, whatever their relpaths are.

A relpath is kept if it can be. Otherwise each byte of UTF-8 that cannot be kept is written as ``^``
and two hexadecimal digits, so that no two relpaths become the same path. ``%`` is not used for
that, because BagIt, browsers and other programs decode it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Set
from hashlib import sha1
from posixpath import splitext

# File systems allow 255; aria2 appends .aria2__temp.
_MAX_NAME_BYTES = 243
_KEPT_BYTES = 180  # of a longer name, before the hash
_MAX_EXTENSION_BYTES = 16
_MARK = "^"

_PLAIN_NAME = r"\w(?:[\w.,+=()@# -]{0,200}[\w.,+=()@#-])?"
_PLAIN = re.compile(f"(?:{_PLAIN_NAME}/)*{_PLAIN_NAME}", re.ASCII)
# A separator on Windows, white space at the ends of a name, and what looks like an escape.
_UNSAFE = re.compile(
    r"\\|\A\s|\s\Z|%(?=[0-9A-Fa-f]{2})|\^(?=[0-9A-Fa-f]{2}|~|\Z)",
)
_DRIVE = re.compile(r"\A([A-Za-z]):")
# Unicode categories: control and format characters, surrogates, line and paragraph separators.
_INVALID_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # used in emoji, and in words of several scripts


def local_path(relpath: str, directories: Set[str] = frozenset()) -> str:
    """Return the path, relative and with slashes, under which an item is saved.

    It has no empty, ``.`` or ``..`` segments, no drive, no backslash and no control characters, and
    no white space around a segment. A segment has at most 244 bytes of UTF-8; the end of a longer
    one is replaced by its SHA-1.

    :param directories: what ``directories_of`` returned for all relpaths of the dataset; a path
        among them gets a ``^`` at its end, because a file cannot have the name of a directory.
    """
    path = relpath if _PLAIN.fullmatch(relpath) else _escaped(relpath)
    return path + _MARK if path in directories else path


def directories_of(relpaths: Iterable[str]) -> Set[str]:
    """Return the directories that are needed to save these items, as ``local_path`` names them."""
    # As in the relpaths, and as they are named: those of one may be equal to others of the other.
    seen: set[str] = set()
    found: set[str] = set()
    for relpath in relpaths:
        directory = relpath.rpartition("/")[0]
        if directory not in seen and "/" in relpath:
            seen.add(directory)
            path = local_path(relpath)
            while "/" in path:
                path = path.rpartition("/")[0]
                found.add(path)
    return found


def _escaped(relpath: str) -> str:
    path = "/".join(map(_segment, relpath.split("/")))
    # Programs take - for standard input or output, and Windows takes c: for a drive.
    return _hexadecimal(path) if path == "-" else _DRIVE.sub(rf"\1{_hexadecimal(':')}", path, 1)


def _segment(name: str) -> str:
    if name in ("", ".", ".."):
        return name.replace(".", _hexadecimal("."), 1) or _MARK
    escaped = _UNSAFE.sub(lambda found: _hexadecimal(found[0]), name)
    if not escaped.isprintable():
        escaped = "".join(map(_printable, escaped))
    encoded = escaped.encode()
    if len(encoded) <= _MAX_NAME_BYTES:
        return escaped
    extension = splitext(escaped)[1]
    if len(extension.encode()) > _MAX_EXTENSION_BYTES:
        extension = ""
    kept = encoded[:_KEPT_BYTES].decode(errors="ignore")
    digest = sha1(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    return f"{kept}{_MARK}~{digest}{extension}"


def _printable(character: str) -> str:
    is_valid = unicodedata.category(character) not in _INVALID_CATEGORIES
    return character if is_valid or character in _JOINERS else _hexadecimal(character)


def _hexadecimal(character: str) -> str:
    encoded = character.encode(errors="surrogatepass")
    return "".join(f"{_MARK}{byte:02X}" for byte in encoded)
