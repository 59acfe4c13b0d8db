"""The info file of a running demo, from which scripts read addresses, keys and tokens."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypedDict

PRIVATE = 0o600


class StoreInfo(TypedDict, total=False):
    """How to access the store: the first four for a bucket, the last three for an Azure account."""

    bucket: str
    s3_endpoint: str
    access_key: str
    secret_key: str
    account: str
    blob_endpoint: str
    account_key: str


class DemoInfo(StoreInfo):
    """The content of the info file; ``tokens`` holds one for each user."""

    base_url: str
    base_uri: str
    tokens: dict[str, str]


def write_info(path: Path, info: DemoInfo) -> None:
    """Write the info file as JSON, readable by its owner only."""
    write_private(path, json.dumps(info, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
