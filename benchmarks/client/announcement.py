"""Announces the files of a directory, as a client has to before it sends them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4


def announcement(directory: Path) -> dict[str, Any]:
    """Return an announcement of all files of a directory."""
    return {
        "uuid": str(uuid4()),
        "name": "benchmark",
        "hash_function": "md5sum_hexdigest",
        "items": [
            {
                "relpath": path.relative_to(directory).as_posix(),
                "size_in_bytes": path.stat().st_size,
                "hash": _md5(path),
                "utc_timestamp": path.stat().st_mtime,
            }
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        ],
    }


@cache
def _md5(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
