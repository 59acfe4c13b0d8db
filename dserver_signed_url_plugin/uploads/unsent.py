"""Which items of an announced upload the client still has to send; the empty ones are written here.

An item of which the client has announced size and MD5 need not be sent if it is stored so, as
completion would compare it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.assembly import accept
from dserver_signed_url_plugin.uploads.comparison import compare
from dserver_signed_url_plugin.uploads.lease import Lease
from dserver_signed_url_plugin.uploads.models import UploadState

# Seconds after which no other empty item is written: the client sends the rest.
MOST_WRITING = 10.0


def items_to_send(
    lease: Lease, storage: Storage, items: Sequence[Item], *, is_new: bool
) -> Sequence[Item]:
    """Return the items that are not stored as announced, after writing those without bytes.

    :param is_new: whether nothing can be stored yet, so that nothing is listed.
    :raises UploadBusy: if another request has taken over the upload.
    """
    if not is_new:
        stored = _stored(lease, storage, items)
        items = [item for item in items if item.identifier not in stored]
    empty = [item for item in items if item.is_empty]
    if not empty or lease.upload.state is UploadState.FROZEN:
        return items
    lease.check()
    if storage.create_only_items is not None and not is_new:
        storage.create_only_items.delete_outdated_items(lease.upload.uuid, empty)
    written = storage.uploads.write_empty_items(lease.upload.uuid, empty, MOST_WRITING)
    return [item for item in items if item.identifier not in written]


def _stored(lease: Lease, storage: Storage, items: Sequence[Item]) -> Set[str]:
    """Return the identifiers of items that are stored as announced, at their place or staged."""
    upload = lease.upload
    described = [item for item in items if item.is_described]
    contents = storage.uploads.contents(upload.uuid, upload.staging)
    accept(upload, described, contents)
    found = compare(described, contents)
    return {*found.in_place, *(promotion.item.identifier for promotion in found.promotions)}
