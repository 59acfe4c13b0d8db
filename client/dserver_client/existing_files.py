"""Compare local files with a manifest: which exist, which differ, which are missing."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dserver_client.errors import LocalFileError
from dserver_client.manifest import ManifestItem
from dserver_client.progress import Progress
from dserver_client.transfers.scheduler import Limit, run

_BLOCK = 1 << 20
# Some file systems keep times in steps of two seconds.
_TIME_STEP = 2.0

# An item, and the absolute path of its file.
ItemFile = tuple[ManifestItem, str]


@dataclass
class Comparison:
    """Which files are as the manifest says, which are missing, and which differ.

    Those that differ are given by relpath, with what is wrong. What is ``blocked`` is no regular
    file, and cannot be replaced by one.
    """

    equal: list[ItemFile] = field(default_factory=list)
    missing: list[ItemFile] = field(default_factory=list)
    wrong_size: dict[str, str] = field(default_factory=dict)
    wrong_hash: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


def compare(files: Sequence[ItemFile], progress: Progress, *, hashes: bool = True) -> Comparison:
    """Compare files with their items: sizes first, then MD5s, several files at a time.

    Where the manifest has no MD5, times of last change are compared. Raise LocalFileError if a file
    cannot be read.

    :param hashes: whether files are read.
    """
    compared = Comparison()
    same_size = []
    for item, path in files:
        found = _stat(path)
        if found is None:
            compared.missing.append((item, path))
        elif not isinstance(found, os.stat_result):
            compared.blocked[item.relpath] = found
        elif found.st_size != item.size_in_bytes:
            compared.wrong_size[item.relpath] = (
                f"has {found.st_size} bytes instead of {item.size_in_bytes}"
            )
        elif item.hash is None and not _has_time(found.st_mtime, item):
            compared.wrong_hash[item.relpath] = "has changed at another time"
        else:
            same_size.append((item, path))
    if not hashes:
        compared.equal = same_size
    elif same_size:
        _compare_hashes(same_size, compared, progress)
    return compared


def _stat(path: str) -> os.stat_result | str | None:
    """Return the state of a regular file, also by a link; what else is there; None for nothing."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return "is a broken link" if os.path.lexists(path) else None
    except NotADirectoryError:
        return "is in a directory that is a file here"
    except OSError as error:
        raise LocalFileError.of(error, path) from error
    if stat.S_ISDIR(found.st_mode):
        return "is a directory here"
    return found if stat.S_ISREG(found.st_mode) else "is no regular file here"


def was_fetched(item: ManifestItem, path: str) -> bool:
    """Return whether a file has the time of last change that a fetch gives to it."""
    try:
        return item.utc_timestamp is not None and _has_time(os.stat(path).st_mtime, item)
    except OSError:
        return False


def links_on_the_way(directory: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the directories through which files must not be written, each with the reason.

    These are links that lead out of ``directory``, and names of the same directory.
    """
    top = str(directory)
    directories = {top}
    for path in paths:
        parent = os.path.dirname(path)
        while parent not in directories:
            directories.add(parent)
            parent = os.path.dirname(parent)
    links = {path for path in directories - {top} if _is_link(path)}
    if not links:
        return {}
    resolved = {path: os.path.realpath(path) for path in directories}
    inside = os.path.join(resolved[top], "")
    problems: dict[str, str] = {}
    seen: dict[str, str] = {}
    for path in sorted(directories, key=lambda path: (path in links, path)):
        real, name = resolved[path], os.path.relpath(path, top)
        if not os.path.join(real, "").startswith(inside):
            if path in links:
                problems[name] = f"is a link to {real}"
        elif (other := seen.setdefault(real, path)) != path:
            problems[name] = f"is the same directory as {os.path.relpath(other, top)!r}"
    return problems


def _is_link(path: str) -> bool:
    is_junction = getattr(os.path, "isjunction", os.path.islink)  # of Windows, since Python 3.12
    return os.path.islink(path) or is_junction(path)


def _has_time(time: float, item: ManifestItem) -> bool:
    return item.utc_timestamp is None or abs(time - item.utc_timestamp) <= _TIME_STEP


def _compare_hashes(files: Sequence[ItemFile], compared: Comparison, progress: Progress) -> None:
    size = sum(item.size_in_bytes for item, _ in files)
    processors = os.cpu_count() or 1
    limit = Limit(start=processors, most=processors)
    progress.start("check", size, len(files))
    try:
        run((partial(_compare_hash, file, compared, progress, limit) for file in files), limit)
    finally:
        progress.finish()


def _compare_hash(file: ItemFile, compared: Comparison, progress: Progress, limit: Limit) -> None:
    item, path = file
    if item.hash in (None, _md5(path, progress, limit)):
        compared.equal.append(file)
    else:
        compared.wrong_hash[item.relpath] = "has another MD5"
    progress.advance(0, 1)


def _md5(path: str, progress: Progress, limit: Limit) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    try:
        with open(path, "rb", buffering=0) as opened:
            while block := opened.read(_BLOCK):
                limit.check()
                md5.update(block)
                progress.advance(len(block))
    except OSError as error:
        raise LocalFileError.of(error, path) from error
    return md5.hexdigest()
