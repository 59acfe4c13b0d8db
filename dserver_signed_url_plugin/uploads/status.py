"""How far an upload has come: what is stored and right, what is missing, what is wrong.

Looks, and signs what is still to be sent; changes nothing that is stored and right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.errors import (
    NotUploader,
    UploadFrozen,
    UploadNotFound,
    UploadNotOpened,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Contents, Item, WriteURLs
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.begin import UploadGrant, announced_items
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import FROZEN, OPENING, REMOVED, PendingUpload
from dserver_signed_url_plugin.uploads.verification import Verification, verify
from dserver_signed_url_plugin.uris import DatasetURI

REGISTERED = "registered"


@dataclass(frozen=True)
class UploadStatus:
    """An upload and what storage holds of it; ``upload`` is None for a registered dataset."""

    uri: DatasetURI
    state: str
    is_opened: bool = True
    upload: PendingUpload | None = None
    items: Sequence[Item] = ()
    stored_bytes: int = 0
    verification: Verification | None = None
    grant: UploadGrant | None = None

    @property
    def extent(self) -> Extent:
        return Extent() if self.grant is None else self.grant.extent


class UploadStatuses:
    """Looks after uploads that are under way."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

    def of(self, permit: UploadPermit, uuid: str, urls: bool, asked: int | None) -> UploadStatus:
        """Compare an upload with what storage holds.

        :param urls: whether to sign PUTs for exactly what is missing or wrong.
        :param asked: seconds these URLs should live, or None for the server's default.
        :raises UploadNotFound: if there is neither an upload nor a dataset.
        :raises NotUploader: to anybody but who began it, or an admin.
        :raises UploadNotOpened: if there is nothing to sign for yet.
        :raises UploadFrozen: if there is nothing left to sign for.
        :raises UploadBusy: if URLs are asked for while it is being opened or completed.
        """
        seconds = chosen_life(asked, self._settings.write_expiry, self._settings.max_write_expiry)
        uri = permit.base_uri.dataset(uuid)
        upload = repository.find(uuid)
        if upload is None or upload.uri != str(uri) or upload.state == REMOVED:
            return _registered(uri)
        if not permit.may_act_for(upload.uploader):
            raise NotUploader("look into")
        storage = self._storages.of(permit.base_uri)
        try:
            if not urls:
                return _looked_up(upload, uri, storage)
            with leased(upload, active=True) as lease:
                return _granted(lease, uri, storage, seconds)
        except repository.UploadGone:
            return _registered(uri)


def _looked_up(upload: PendingUpload, uri: DatasetURI, storage: Storage) -> UploadStatus:
    items = announced_items(upload)
    # Where opening was interrupted nothing can have been stored.
    opened = upload.state != OPENING
    holdings = storage.holdings(upload.uuid, upload.staging) if opened else Contents()
    found = verify(items, holdings)
    stored = _bytes_right(found)
    return UploadStatus(uri, upload.state, holdings.opened, upload, items, stored, found)


def _registered(uri: DatasetURI) -> UploadStatus:
    if datasets.find(uri) is None:
        raise UploadNotFound(uri)
    return UploadStatus(uri, REGISTERED)


def _bytes_right(found: Verification) -> int:
    stored = [*found.in_place.values(), *(promotion.stored for promotion in found.promotions)]
    return sum(each.size_in_bytes for each in stored)


def _granted(lease: Lease, uri: DatasetURI, storage: Storage, seconds: int) -> UploadStatus:
    """Look an upload up, and sign what is still to be sent."""
    upload = lease.upload
    if upload.state == REMOVED:
        raise repository.UploadGone
    progress = _looked_up(upload, uri, storage)
    if not progress.is_opened:
        raise UploadNotOpened(upload.uuid)
    if upload.state == FROZEN:
        raise UploadFrozen(upload.uuid)
    wanted = set() if progress.verification is None else progress.verification.to_send
    items = [item for item in progress.items if item.relpath in wanted]
    life = storage.life(seconds, writing=True)
    pinned = all(item.hash is not None for item in items)
    pinned = pinned and upload.pinned and not storage.stages_all
    # First, because it makes sure that nobody has taken over.
    lease.record_urls(life.ends, pinned)
    storage.delete_outdated_items(upload.uuid, items)
    urls: WriteURLs = storage.write_urls(upload.uuid, upload.staging, items, pinned, life)
    grant = UploadGrant(uri, life, items, urls, storage.max_item_bytes)
    return replace(progress, grant=grant)
