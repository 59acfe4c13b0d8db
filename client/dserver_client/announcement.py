"""The announcement of a deposit: the description of a dataset, and its files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dserver_client.errors import UsageError
from dserver_client.local_files import LocalFile

# dtool's rules for names of datasets.
_LONGEST_NAME = 80
_not_in_names = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Description:
    """What a dataset is, beside its files.

    ``overlays`` has a mapping of identifiers to values by name. ``uuid`` is None for a new one,
    ``creator_username`` for the user, ``frozen_at`` (UTC, seconds since 1970) for the time of
    completion.
    """

    name: str
    readme: str | None = None
    tags: Sequence[str] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    overlays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    uuid: str | None = None
    creator_username: str | None = None
    frozen_at: float | None = None


def default_name(paths: Sequence[str | os.PathLike[str]]) -> str:
    """Return a dataset's name from that of the only directory or file.

    :raises UsageError: if there are several, or nothing is left of it.
    """
    if len(paths) != 1:
        raise UsageError("Give the dataset a name: it is made of several files or directories.")
    stem = os.path.basename(os.path.abspath(paths[0]))
    name = _not_in_names.sub("_", stem)[:_LONGEST_NAME].strip("_")
    if not name.strip("."):
        raise UsageError(f"Give the dataset a name: {stem!r} cannot be one.")
    return name


def announcement(description: Description, files: Sequence[LocalFile], uuid: str) -> dict[str, Any]:
    """Return the body of ``POST /signed-urls/upload`` for files whose MD5s are known."""
    body = {
        "uuid": uuid,
        "name": description.name,
        "hash_function": "md5sum_hexdigest",
        "multipart": True,
        "items": [_announced(file) for file in files],
        "tags": list(description.tags),
        "annotations": dict(description.annotations),
        "overlays": dict(description.overlays),
    }
    if description.creator_username is not None:
        body["creator_username"] = description.creator_username
    if description.frozen_at is not None:
        body["frozen_at"] = description.frozen_at
    return body


def fingerprint(description: Description, files: Sequence[LocalFile]) -> str:
    """Return the SHA-256 of what makes two announcements the same upload for dserver.

    The README is not among it: another one replaces it as long as the upload is not complete.
    """
    described = [
        description.name,
        description.creator_username,
        sorted(description.tags),
        description.annotations,
        description.overlays,
    ]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for file in files:
        digest.update(json.dumps([file.relpath, file.size_in_bytes, file.md5]).encode())
    return digest.hexdigest()


def _announced(file: LocalFile) -> dict[str, Any]:
    return {
        "relpath": file.relpath,
        "size_in_bytes": file.size_in_bytes,
        "hash": file.md5,
        "utc_timestamp": file.mtime_ns / 1e9,
    }
