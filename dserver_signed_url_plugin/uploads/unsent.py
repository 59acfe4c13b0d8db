"""Which items of an announced upload the client still has to send; the empty ones are written here.

An item of which the client has announced size and MD5 need not be sent if it is stored so, as
completion would compare it. What is stored is listed once for all of this.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from time import monotonic

from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import Contents, Item
from dserver_signed_url_plugin.uploads.assembly import accept
from dserver_signed_url_plugin.uploads.comparison import compare
from dserver_signed_url_plugin.uploads.lease import Lease
from dserver_signed_url_plugin.uploads.models import PendingUpload

# Seconds after which no other empty item is written: the client sends the rest.
MAX_WRITING_SECONDS = 10.0
# So many are written before the lease is checked again.
_BATCH = 160


def not_stored(upload: PendingUpload, items: Sequence[Item], contents: Contents) -> Sequence[Item]:
    """Return the items that are not stored as announced, at their place or staged."""
    described = [item for item in items if item.is_described]
    accept(upload, described, contents)
    found = compare(described, contents)
    stored = {*found.in_place, *(promotion.item.identifier for promotion in found.promotions)}
    return [item for item in items if item.identifier not in stored]


def delete_outdated(
    upload: PendingUpload, storage: Storage, items: Sequence[Item], contents: Contents
) -> None:
    """Delete what is listed at an item's place and is not that item, where no PUT replaces it."""
    outdated = [item for item in items if _is_outdated(item, contents)]
    if outdated and storage.create_only_items is not None:
        storage.create_only_items.delete_outdated_items(upload.uuid, outdated)


def write_empty(
    lease: Lease, storage: Storage, items: Sequence[Item], contents: Contents
) -> Set[str]:
    """Write the items without bytes that are not stored; return the identifiers of those written.

    The end of URLs has been recorded before: until then the UUID belongs to this upload, also if
    this request is paused so long that another one takes over.

    :raises UploadBusy: if another request has taken over the upload.
    """
    # What is listed has been deleted where it cannot be replaced; elsewhere the client replaces it.
    listed = contents.final.keys() if storage.create_only_items is None else ()
    empty = [item for item in items if item.is_empty and item.identifier not in listed]
    written: set[str] = set()
    ends = monotonic() + MAX_WRITING_SECONDS
    for start in range(0, len(empty), _BATCH):
        if (seconds := ends - monotonic()) <= 0:
            break
        batch = empty[start : start + _BATCH]
        try:
            written |= storage.uploads.write_empty_items(lease.upload.uuid, batch, seconds)
        finally:
            # Also if it fails: the dataset may be gone because another request has taken over.
            lease.check()
    return written


def _is_outdated(item: Item, contents: Contents) -> bool:
    stored = contents.final.get(item.identifier)
    return item.identifier in contents.unassembled or (stored is not None and not stored.fits(item))
