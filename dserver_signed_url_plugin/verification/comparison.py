"""The result of comparing what the store holds of an item with the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dserver_signed_url_plugin.storage.values import Item, as_md5


class Result(Enum):
    """How an item compares with the manifest."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Content:
    """What was read of an item: its bytes and MD5 (32 hex digits).

    ``md5`` is None if it was not read to its end, because it has the wrong size.
    """

    size_in_bytes: int
    md5: str | None


@dataclass(frozen=True)
class ComparedItem:
    """An item, how it compares, and what was found, if it could be read; ``reason`` if not."""

    item: Item
    result: Result
    found: Content | None = None
    reason: str = ""


def compared(item: Item, content: Content) -> ComparedItem:
    """Compare what was read of an item with the manifest."""
    md5 = as_md5(item.hash)
    if item.size_in_bytes not in (None, content.size_in_bytes):
        return ComparedItem(item, Result.DIFFERENT, content)
    if md5 is None:
        reason = "the manifest has no MD5 of it"
        return ComparedItem(item, Result.NOT_COMPARABLE, content, reason)
    result = Result.EQUAL if content.md5 == md5 else Result.DIFFERENT
    return ComparedItem(item, result, content)
