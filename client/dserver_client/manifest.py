"""The manifest of a dataset: which items it has, with their sizes, hashes and times.

Source of the format: dtoolcore, ``generate_manifest``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha1
from typing import Any

from dserver_client.errors import ClientError, Refused
from dserver_client.server.answers import MALFORMED
from dserver_client.values import MAX_SIZE

_MD5 = re.compile("[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class ManifestItem:
    """An item as the manifest describes it.

    ``hash`` is the MD5 as 32 lower-case hexadecimal digits, None where the manifest has none;
    ``utc_timestamp`` is the time of its last change in seconds since 1970, None where unknown.
    """

    identifier: str
    relpath: str
    size_in_bytes: int
    hash: str | None = None
    utc_timestamp: float | None = None


def parse_manifest(content: bytes) -> list[ManifestItem]:
    """Return the items of a manifest, in its order; no two of them have the same relpath.

    Raise ClientError if it is not one, or if an identifier is not that of its relpath.
    """
    try:
        document = json.loads(content)
        has_md5 = document.get("hash_function", "md5sum_hexdigest") == "md5sum_hexdigest"
        return parse_items(document["items"], has_md5=has_md5)
    except MALFORMED as error:
        raise ClientError(
            "The manifest of the dataset cannot be read: the store answered with something else."
        ) from error


def parse_items(items: Mapping[str, Any], *, has_md5: bool = True) -> list[ManifestItem]:
    """Return items that a manifest, or dserver, describes by identifier.

    :raises ClientError: if an identifier is not that of its relpath.
    :raises ValueError, TypeError, KeyError, AttributeError: if one is not described so.
    """
    return [_item(*entry, has_md5=has_md5) for entry in items.items()]


def select(items: Sequence[ManifestItem], wanted: Collection[str]) -> list[ManifestItem]:
    """Return the items with these relpaths, or whose relpaths match these patterns.

    Raise Refused, with status 404, for what no item has.
    """
    relpaths = {item.relpath for item in items}
    patterns = [one for one in wanted if one not in relpaths]
    matched = {
        pattern: {relpath for relpath in relpaths if fnmatchcase(relpath, pattern)}
        for pattern in patterns
    }
    if nothing := sorted(pattern for pattern, found in matched.items() if not found):
        message = f"The dataset has no item {', '.join(map(repr, nothing))}."
        raise Refused(message, 404, "item-not-found", {"items": nothing})
    chosen = set(wanted).union(*matched.values())
    return [item for item in items if item.relpath in chosen]


def _item(identifier: str, entry: dict[str, Any], *, has_md5: bool) -> ManifestItem:
    relpath, size = entry["relpath"], entry["size_in_bytes"]
    is_item = isinstance(relpath, str) and isinstance(size, int) and 0 <= size <= MAX_SIZE
    if not is_item:
        raise ValueError("not an item")
    if identifier != sha1(relpath.encode(), usedforsecurity=False).hexdigest():
        raise ClientError(
            f"The manifest of the dataset is not sound: the identifier of {relpath!a} is not the "
            "SHA-1 of this relpath."
        )
    md5, time = entry.get("hash"), entry.get("utc_timestamp")
    known = has_md5 and isinstance(md5, str) and _MD5.fullmatch(md5)
    return ManifestItem(
        identifier,
        relpath,
        size,
        str(md5).lower() if known else None,
        float(time) if isinstance(time, (int, float)) else None,
    )
