"""Signed URLs to write to an upload: granted to a request that holds its lease, signed later.

They are signed while the answer is sent, after the lease has been released. Their end is recorded
before, so that for whoever works on the upload meanwhile they are like URLs signed earlier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.storage.parts import Division
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import (
    Contents,
    Item,
    Life,
    SignedRequest,
    SignedRequests,
    WriteURLs,
    total_size,
)
from dserver_signed_url_plugin.uploads.division import divisions
from dserver_signed_url_plugin.uploads.lease import Lease
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.unsent import delete_outdated, write_empty
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class UploadGrant:
    """Signed URLs to PUT items of an upload; a single PUT carries ``max_size_in_bytes``.

    Items in ``divisions`` have no URL, but are sent in parts. ``announced`` are all items of an
    announcement, if they are more; ``token`` is the token of the upload.
    """

    uri: DatasetURI
    life: Life
    items: Sequence[Item]
    urls: WriteURLs
    max_size_in_bytes: int
    divisions: Mapping[str, Division] = field(default_factory=dict)
    announced: Sequence[Item] | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def extent(self) -> Extent:
        items = self.items if self.announced is None else self.announced
        size = total_size([item.size_in_bytes for item in items])
        return Extent(len(items), size, self.life.ends)


def grant_urls(
    lease: Lease,
    storage: Storage,
    items: Sequence[Item],
    contents: Contents,
    life: Life,
    *,
    pinned: bool,
    multipart: bool,
    writes_empty: bool = False,
) -> UploadGrant:
    """Return what signs PUTs, and make sure that they can replace what is stored and wrong.

    :param contents: what has been listed of the upload.
    :param pinned: whether the client returns the headers of a pinned URL.
    :param multipart: whether it sends large items in parts.
    :param writes_empty: whether items without bytes are written here, and left out.
    :raises UploadBusy: if another request has taken over the upload.
    """
    upload, uploads = lease.upload, storage.uploads
    divided = divisions(upload, items, storage)
    urls = _write_urls(upload, storage, _without(divided, items), life, pinned=pinned)
    if divided and not multipart:
        # A pinned URL could replace an item whose parts were not those of its announced MD5.
        may_pin = pinned and storage.staged_items is None
        large = [item for item in items if item.identifier in divided]
        whole = _write_urls(upload, storage, large, life, pinned=may_pin)
        urls = _joined(items, urls, whole)
    # Before they are handed out, and before anything is deleted or written: it verifies the lease.
    lease.record_urls(life.ends, pinned=urls.pinned, some_pinned=pinned)
    if upload.state is not UploadState.FROZEN:
        delete_outdated(upload, storage, items, contents)
        if writes_empty and (written := write_empty(lease, storage, items, contents)):
            items = [item for item in items if item.identifier not in written]
            urls = _of_items(items, urls)
    in_parts = divided if multipart else {}
    return UploadGrant(upload.uri, life, items, urls, uploads.limits.max_item_bytes, in_parts)


def _write_urls(
    upload: PendingUpload, storage: Storage, items: Sequence[Item], life: Life, *, pinned: bool
) -> WriteURLs:
    return storage.uploads.write_urls(upload.uuid, upload.staging, items, life, pinned=pinned)


def _of_items(items: Sequence[Item], urls: WriteURLs) -> WriteURLs:
    """Return the URLs of some items, of those that have one."""
    with_url = [item for item in items if item.identifier in urls.items.entries]
    signed = SignedRequests.of(with_url, lambda item: urls.items[item.identifier])
    return replace(urls, items=signed)


def _joined(items: Sequence[Item], urls: WriteURLs, more: WriteURLs) -> WriteURLs:
    """Return URLs, and those of more items."""

    def sign(item: Item) -> SignedRequest:
        name = item.identifier
        return more.items[name] if name in more.items.entries else urls.items[name]

    return replace(urls, items=SignedRequests.of(items, sign))


def _without(divided: Mapping[str, Division], items: Sequence[Item]) -> Sequence[Item]:
    return [item for item in items if item.identifier not in divided] if divided else items
