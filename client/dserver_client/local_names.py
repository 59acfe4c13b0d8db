r"""Under which names the items of a dataset are kept in a local directory.

``strict`` keeps every relpath as it is, and refuses all that the directory cannot hold before
anything is fetched. ``safe`` changes such names, by a rule that is the same on every computer:

1.  In each segment of a relpath, these become ``%`` and two hexadecimal digits for each byte of
    UTF-8, as in URLs: control characters and what is not valid Unicode, ``< > : " | ? * \``, ``%``
    before two hexadecimal digits, spaces at the beginning, dots and spaces at the end, and the
    first letter of a name that Windows reserves (``CON``). An empty segment becomes ``%``.
2.  A segment of more than 200 bytes is cut after 150, and ``%~`` with 16 digits of its SHA-1 is
    added before its extension.
3.  Of paths that are equal if case and the forms of Unicode are ignored, and of a file and a
    directory with the same path, all but the first get ``%~`` with eight digits of the SHA-1 of the
    relpath. Directories come before files, and both are sorted.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha1
from pathlib import Path, PurePath
from posixpath import splitext
from typing import Literal
from unicodedata import category, normalize

from dserver_client.errors import UnusableNames
from dserver_client.name_probe import RESERVED_IN_PATH, RESERVED_NAME, NameProbe

Names = Literal["strict", "safe"]

# Inside the directory that a dataset is fetched into: what is not complete yet.
STATE_DIRECTORY = ".dserver-fetch"

_PLAIN_NAME = r"\w(?:[\w.+=@#,() -]{0,180}[\w+=@#,()-])?"
_PLAIN = re.compile(f"(?:{_PLAIN_NAME}/)*{_PLAIN_NAME}", re.ASCII)
_UNSAFE = re.compile(r'[<>:"|?*\\]|%(?=[0-9A-Fa-f]{2})|^ +|[ .]+$')
_INVALID_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_LONG_SEGMENT, _KEPT_BYTES, _LONGEST_EXTENSION = 200, 150, 16
# Where the length of a whole path may matter, and what Windows allows by default.
_LONG_PATH, _LONGEST_WINDOWS_PATH = 200, 259
# Python and other programs fail to create or delete several hundred nested directories.
_MAX_DIRECTORIES = 256
_LISTED = 50


def local_paths(
    relpaths: Collection[str], directory: Path, probe: NameProbe, names: Names = "strict"
) -> dict[str, str]:
    """Return for each relpath the path in ``directory`` at which its item is kept, with slashes.

    Raise UnusableNames for all that cannot be kept; with ``safe`` only paths that are too long.
    """
    paths = safe_paths(relpaths) if names == "safe" else {relpath: relpath for relpath in relpaths}
    problems = _problems(paths, directory, probe)
    if problems:
        raise UnusableNames(_message(problems, directory, names), problems)
    return paths


def safe_paths(relpaths: Collection[str]) -> dict[str, str]:
    """Return paths that every file system can hold, no two of them the same, as ``safe`` does."""
    taken = {_folded(STATE_DIRECTORY)}
    directories: dict[str, str] = {}
    paths: dict[str, str] = {}
    ordered = sorted(relpaths)
    for relpath in ordered:
        key, path = "", ""
        for segment in relpath.split("/")[:-1]:
            key += f"{segment}/"
            if key not in directories:
                directories[key] = _unique(path + _safe_segment(segment), key, taken)
            path = f"{directories[key]}/"
    for relpath in ordered:
        parent, slash, name = relpath.rpartition("/")
        path = f"{directories[parent + slash]}/" if slash else ""
        paths[relpath] = _unique(path + _safe_segment(name), relpath, taken)
    return paths


def _problems(paths: Mapping[str, str], directory: Path, probe: NameProbe) -> dict[str, str]:
    unusual = {
        relpath: path
        for relpath, path in paths.items()
        if not _PLAIN.fullmatch(path) or RESERVED_IN_PATH.search(path) or len(path) > _LONG_PATH
    }
    found = {
        relpath: reason
        for relpath, path in unusual.items()
        if (reason := _outside(path) or _too_deep(path))
    }
    segments = {relpath: path.split("/") for relpath, path in unusual.items()}
    tried = {name for relpath in segments.keys() - found.keys() for name in segments[relpath]}
    unusable = probe.unusable(tried)
    for relpath, path in unusual.items():
        if relpath not in found:
            reasons = [unusable[name] for name in segments[relpath] if name in unusable]
            if reasons or _is_too_long(directory / path):
                found[relpath] = reasons[0] if reasons else "is too long for this file system"
    others = {relpath: path for relpath, path in paths.items() if relpath not in found}
    found.update(_collisions(others, probe))
    return found


def _outside(path: str) -> str | None:
    """Return why a path leads, or might lead, out of the directory."""
    if path.startswith("/"):
        return "is an absolute path"
    if _folded(path.partition("/")[0]) == STATE_DIRECTORY:
        return "is where this program keeps what is not complete"
    for name in path.split("/"):
        if name == "..":
            return "leads out of the directory"
        if name in ("", "."):
            return "has an empty segment"
        if "\0" in name or not _is_unicode(name):
            return "has characters that no file name can have"
        # On Windows, what has a drive or a backslash.
        if PurePath(name).name != name:
            return "names a drive or another directory"
    return None


def _too_deep(path: str) -> str | None:
    """Return why a path has more directories than can be made."""
    if path.count("/") > _MAX_DIRECTORIES:
        return f"is in more than {_MAX_DIRECTORIES} directories"
    return None


def _is_unicode(name: str) -> bool:
    try:
        os.fsencode(name.encode().decode())
    except UnicodeError:
        return False
    return True


def _is_too_long(path: Path) -> bool:
    if os.name == "nt":
        return len(str(path)) > _LONGEST_WINDOWS_PATH
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _collisions(paths: Mapping[str, str], probe: NameProbe) -> dict[str, str]:
    """Return what of several paths only one can have."""
    is_exact = probe.is_exact()
    fold = str if is_exact else _folded
    directories: dict[str, str] = {}
    # Directories that are the same as others, which are spelled differently.
    merged: dict[str, str] = {}
    for path in sorted(_directories(paths.values())):
        other = directories.setdefault(fold(path), path)
        if _is_same(other, path, probe):
            merged[path] = other
    files: dict[str, str] = {}
    problems: dict[str, str] = {}
    for relpath, path in sorted(paths.items()):
        folded, parent = fold(path), path.rpartition("/")[0]
        other = files.setdefault(folded, path)
        if folded in directories:
            problems[relpath] = "is the name of a directory, too"
        elif parent in merged:
            problems[relpath] = f"is in a directory that is the same as {merged[parent]!r}"
        elif _is_same(other, path, probe):
            problems[relpath] = f"is the same as {other!r} on this file system"
    return problems


def _is_same(path: str, other: str, probe: NameProbe) -> bool:
    if path == other:
        return False
    pairs = zip(path.split("/"), other.split("/"), strict=True)
    return all(probe.are_same(*pair) for pair in pairs)


def _directories(paths: Collection[str]) -> Iterator[str]:
    seen = {""}
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory not in seen:
            seen.add(directory)
            yield directory
            directory = directory.rpartition("/")[0]


def _message(problems: Mapping[str, str], directory: Path, names: Names) -> str:
    listed = [f"{name!a} {reason}" for name, reason in sorted(problems.items())[:_LISTED]]
    more = len(problems) - len(listed)
    if more:
        listed.append(f"and {more} more")
    count = f"{len(problems)} names" if len(problems) > 1 else "One name"
    advice = ' With names "safe" they are changed.' if names == "strict" else ""
    return f"{count} cannot be used in {directory}: {'; '.join(listed)}.{advice}"


def _safe_segment(name: str) -> str:
    if name == "":
        return "%"
    if RESERVED_NAME.match(name):
        name = _hexadecimal(name[0]) + _escaped(name[1:])
    else:
        name = _escaped(name)
    encoded = name.encode()
    if len(encoded) <= _LONG_SEGMENT:
        return name
    extension = splitext(name)[1]
    if len(extension.encode()) > _LONGEST_EXTENSION:
        extension = ""
    kept = encoded[:_KEPT_BYTES].decode(errors="ignore")
    return f"{kept}%~{_digest(name)[:16]}{extension}"


def _escaped(name: str) -> str:
    escaped = _UNSAFE.sub(lambda found: _hexadecimal(found[0]), name)
    return escaped if escaped.isprintable() else "".join(map(_printable, escaped))


def _printable(character: str) -> str:
    return _hexadecimal(character) if category(character) in _INVALID_CATEGORIES else character


def _hexadecimal(characters: str) -> str:
    return "".join(f"%{byte:02X}" for byte in characters.encode(errors="surrogatepass"))


def _unique(path: str, original: str, taken: set[str]) -> str:
    unique, digits = path, 8
    while _folded(unique) in taken:
        stem, extension = splitext(path)
        unique = f"{stem}%~{_digest(original)[:digits]}{extension}"
        digits += 8
    taken.add(_folded(unique))
    return unique


def _digest(name: str) -> str:
    return sha1(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _folded(path: str) -> str:
    """Return what paths have in common that a file system may take for the same.

    Source: Unicode, chapter 3.13, canonical caseless matching.
    """
    if path.isascii():
        return path.lower()
    return normalize("NFD", normalize("NFD", path).casefold())
