"""Signed URLs to write to an upload: granted to a request that holds its lease, signed later.

They are signed while the answer is sent, after the lease has been released. Their end is recorded
before, so that for whoever works on the upload meanwhile they are like URLs signed earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import Item, Life, WriteURLs, total_size
from dserver_signed_url_plugin.uploads.lease import Lease
from dserver_signed_url_plugin.uploads.models import UploadState
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class UploadGrant:
    """Signed URLs to PUT items of an upload; a single PUT carries ``max_size_in_bytes``."""

    uri: DatasetURI
    life: Life
    items: Sequence[Item]
    urls: WriteURLs
    max_size_in_bytes: int

    @property
    def extent(self) -> Extent:
        size = total_size([item.size_in_bytes for item in self.items])
        return Extent(len(self.items), size, self.life.ends)


def grant_urls(
    lease: Lease, storage: Storage, items: Sequence[Item], life: Life, *, pinned: bool
) -> UploadGrant:
    """Return what signs PUTs, and make sure that they can replace what is stored and wrong.

    :param pinned: whether the client returns the headers of a pinned URL.
    :raises UploadBusy: if another request has taken over the upload.
    """
    upload, uploads = lease.upload, storage.uploads
    urls = uploads.write_urls(upload.uuid, upload.staging, items, life, pinned=pinned)
    # Before they are handed out, and before anything is deleted: it verifies the lease.
    lease.record_urls(life.ends, pinned=urls.pinned)
    if storage.create_only_items is not None and upload.state is not UploadState.FROZEN:
        storage.create_only_items.delete_outdated_items(upload.uuid, items)
    return UploadGrant(upload.uri, life, items, urls, uploads.limits.max_item_bytes)
