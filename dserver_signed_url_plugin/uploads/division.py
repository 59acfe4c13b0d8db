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
    return {
        item.identifier: division
        for item in items
        if (division := _division(item, limits, part_bytes)) is not None
    }


def _division(item: Item, limits: PartLimits, part_bytes: int) -> Division | None:
    size = item.size_in_bytes
    if size is None or item.hash is None or not part_bytes < size <= limits.max_item_bytes:
        return None
    return limits.divide(size, part_bytes)
