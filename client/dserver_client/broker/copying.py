"""Copy files into a proto-dataset, or link those that never change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from dserver_client.errors import FileChanged, LocalFileError

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copied:
    """A file as it was copied: size in bytes, time of the last change in ns, MD5 in hexadecimal."""

    size_in_bytes: int
    mtime_ns: int
    hash: str


def copy(source: Path, target: Path, cache: Path) -> Copied:
    """Copy a file to a path where there is none, with the time of its last change.

    Items of a frozen dataset, on disk or in dtool's cache, are hard-linked where the file system
    can, which takes no space. After an error, there may be a part of the file.

    :param cache: dtool's cache directory.
    :raises LocalFileError: if it cannot be read or written, FileChanged if it changes meanwhile.
    """
    try:
        resolved = source.resolve()
        if _is_frozen(resolved, cache.resolve()) and _link(resolved, target):
            return _hashed(target)
        copied = _hashed(source, target)
        os.utime(target, ns=(copied.mtime_ns, copied.mtime_ns))
    except OSError as error:
        raise LocalFileError(f"{source} cannot be copied: {error}.") from error
    return copied


def _hashed(source: Path, target: Path | None = None) -> Copied:
    """Read a file once, for its MD5 and for its copy."""
    digest = hashlib.md5(usedforsecurity=False)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(source.open("rb", buffering=0))
        writer = None
        if target is not None:
            writer = stack.enter_context(open(target, "xb", opener=_private))
        before = os.fstat(reader.fileno())
        while block := reader.read(_BLOCK):
            digest.update(block)
            if writer is not None:
                writer.write(block)
        after = os.fstat(reader.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise FileChanged(f"{source} changed while it was read.")
    return Copied(after.st_size, after.st_mtime_ns, digest.hexdigest())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, one without hard links, or a file of somebody else.
        return False
    return True


def _is_frozen(source: Path, cache: Path) -> bool:
    """Return whether a file belongs to a frozen dataset on disk or to dtool's cache."""
    return cache in source.parents or any(
        parent.name == "data" and _is_dataset(parent.parent) for parent in source.parents
    )


def _is_dataset(directory: Path) -> bool:
    try:
        metadata = json.loads((directory / ".dtool" / "dtool").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(metadata, dict) and metadata.get("type") == "dataset"
