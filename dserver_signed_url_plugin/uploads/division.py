"""Which items of an upload may be sent in parts, and how they are divided; makes no request."""

from __future__ import annotations

from collections.abc import Iterable

from dserver_signed_url_plugin.storage.parts import Division, PartLimits
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.models import PendingUpload


def divisions(
    upload: PendingUpload, items: Iterable[Item], storage: Storage
) -> dict[str, Division]:
    """Return how items are divided that may be sent in parts, by identifier.

    There are none unless a client has said that it sends parts, and the storage assembles them.
    """
    part_bytes = upload.part_bytes
    if part_bytes is None or storage.parts is None:
        return {}
    limits = storage.parts.limits
    # What one PUT cannot carry is divided, however large parts are.
    most_whole = min(part_bytes, storage.uploads.limits.max_item_bytes)
    return {
        item.identifier: limits.divide(item.size_in_bytes or 0, part_bytes)
        for item in items
        if _is_divided(item, limits, most_whole)
    }


def _is_divided(item: Item, limits: PartLimits, most_whole: int) -> bool:
    size = item.size_in_bytes or 0
    return item.hash is not None and most_whole < size <= limits.max_item_bytes
