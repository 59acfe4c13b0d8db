"""The end of an upload that is given up: cancelled by its uploader, or removed by an operator.

Knows what must never be removed: what is registered or frozen, what somebody works on, and, unless
told so, what somebody may still be writing to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dserver_signed_url_plugin import datasets, pending
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    PermissionDenied,
    UploadFrozen,
    URLsAlive,
)
from dserver_signed_url_plugin.models import FROZEN, REMOVED, PendingUpload
from dserver_signed_url_plugin.pending import Lease
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.storage.base import Freed, Storage
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class Cancellation:
    """An upload that is no more."""

    uri: DatasetURI
    freed: Freed = field(default_factory=Freed)


class Removals:
    """Removes uploads, and what their removal left behind."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages

    def cancel(self, permit: UploadPermit, uri: DatasetURI) -> Cancellation:
        """Remove an upload for the person who began it, storage included.

        Where there is none (any more), nothing is freed.

        :raises AlreadyRegistered: if it has become a dataset.
        :raises UploadFrozen: if it only waits to be registered.
        :raises UploadBusy: if it is being opened or completed.
        """
        upload = pending.find(uri.uuid)
        if upload is None or upload.uri != str(uri) or upload.state == REMOVED:
            _refuse_registered(uri)
            return Cancellation(uri)
        if not permit.may_act_for(upload.uploader):
            raise PermissionDenied("Only who began this upload, or an admin, may cancel it.")
        try:
            return Cancellation(uri, self.remove(upload, delete_storage=True, force=True))
        except pending.Gone:
            return Cancellation(uri)

    def remove(self, upload: PendingUpload, delete_storage: bool, force: bool) -> Freed:
        """Remove an upload; storage first, so that a failure leaves the row to try again.

        :param force: remove it although URLs that can write still live.
        :raises URLsAlive: if they do, and it is not forced.
        :raises Gone: if it was completed or removed meanwhile.
        """
        storage = self.removable(upload, force)
        with pending.leased(upload) as lease:
            upload = pending.refetch(upload)
            if upload.state == REMOVED:
                raise pending.Gone
            # Since it was listed, it may have been resumed, frozen or registered.
            self.removable(upload, force)
            freed = _discard(storage, upload, lease) if delete_storage else Freed()
            _retire(upload, lease)
        return freed

    def removable(self, upload: PendingUpload, force: bool) -> Storage:
        """Return the storage of an upload that may be removed, as far as can be seen from here.

        :raises URLsAlive: and the other reasons why it may not.
        """
        uri = DatasetURI.parse(upload.uri)
        _refuse_registered(uri)
        if upload.urls_live and not force:
            ends = upload.urls_expire_at_utc
            raise URLsAlive(f"its URLs can write until {ends:%Y-%m-%d %H:%M:%S} UTC")
        storage = self._storages.of(uri.base)
        _refuse_frozen(upload, storage)
        return storage

    def freed_by(self, upload: PendingUpload) -> Freed:
        """Return what deleting the upload's storage would free."""
        storage = self._storages.of(DatasetURI.parse(upload.uri).base)
        return storage.size(upload.uuid, upload.storage_claim)

    def forget(self, removed: PendingUpload) -> None:
        """Strike out a removed upload whose URLs have ended, and delete what came late."""
        if removed.urls_live:
            return
        storage = self._storages.of(DatasetURI.parse(removed.uri).base)
        with pending.leased(removed) as lease:
            # What has no admin metadata is no proto-dataset that somebody chose to keep.
            if storage.kind(removed.uuid) is None:
                _discard(storage, removed, lease)
            lease.strike_out()


def _discard(storage: Storage, upload: PendingUpload, lease: Lease) -> Freed:
    return storage.discard(upload.uuid, upload.storage_claim, lease.check)


def _retire(upload: PendingUpload, lease: Lease) -> None:
    if upload.urls_live:
        lease.note(state=REMOVED)
    else:
        lease.strike_out()


def _refuse_registered(uri: DatasetURI) -> None:
    if datasets.find(uri) is not None:
        raise AlreadyRegistered(f"{uri} is registered: it is a dataset, no upload any more.")


def _refuse_frozen(upload: PendingUpload, storage: Storage) -> None:
    if upload.state == FROZEN or storage.kind(upload.uuid) == "dataset":
        raise UploadFrozen(f"{upload.uri} is frozen and waits to be registered: complete it.")
