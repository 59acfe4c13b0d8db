"""The end of an upload that is given up: cancelled by its uploader, or removed by an operator.

Knows what must never be removed: what is registered or frozen, what somebody works on, and, unless
told so, what somebody may still be writing to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    NotUploader,
    UploadActive,
    UploadFrozen,
    URLsStillValid,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Freed
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import FROZEN, REMOVED, PendingUpload
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class Cancellation:
    """An upload that is no more."""

    uri: DatasetURI
    freed: Freed = field(default_factory=Freed)

    @property
    def extent(self) -> Extent:
        return Extent(size_in_bytes=self.freed.size_in_bytes)


class Cancellations:
    """Removes uploads, and what their removal left behind."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages

    def cancel(self, permit: UploadPermit, uuid: str) -> Cancellation:
        """Remove an upload for the person who began it, storage included.

        Where there is none (any more), nothing is freed.

        :raises AlreadyRegistered: if it has become a dataset.
        :raises UploadFrozen: if it only waits to be registered.
        :raises UploadBusy: if it is being opened or completed.
        """
        uri = permit.base_uri.dataset(uuid)
        upload = repository.find(uuid)
        if upload is None or upload.uri != str(uri) or upload.state == REMOVED:
            _refuse_registered(uri)
            return Cancellation(uri)
        if not permit.may_act_for(upload.uploader):
            raise NotUploader("cancel")
        try:
            return Cancellation(uri, self.remove(upload, delete_storage=True, force=True))
        except repository.UploadGone:
            # Somebody else was quicker, at completing it or at giving it up.
            _refuse_registered(uri)
            return Cancellation(uri)

    def remove(
        self,
        upload: PendingUpload,
        delete_storage: bool,
        force: bool,
        idle_since: datetime | None = None,
    ) -> Freed:
        """Remove an upload; storage first, so that a failure leaves the row to try again.

        :param force: remove it although URLs that can write still live.
        :param idle_since: only if nobody has worked on it since then (UTC).
        :raises URLsStillValid: if they do, and it is not forced.
        :raises UploadActive: if somebody has.
        :raises UploadGone: if it was completed or removed meanwhile.
        """
        self.removable(upload, force, idle_since)
        with leased(upload) as lease:
            if lease.upload.state == REMOVED:
                raise repository.UploadGone
            # Since it was listed, it may have been resumed, frozen or registered.
            storage = self.removable(lease.upload, force, idle_since)
            freed = _discard(storage, lease) if delete_storage else Freed()
            lease.retire()
        return freed

    def removable(
        self, upload: PendingUpload, force: bool, idle_since: datetime | None = None
    ) -> Storage:
        """Return the storage of an upload that may be removed, as far as can be seen from here.

        :raises URLsStillValid: and the other reasons why it may not.
        """
        uri = DatasetURI.parse(upload.uri)
        _refuse_registered(uri)
        if idle_since is not None and upload.last_active_at_utc >= idle_since:
            raise UploadActive(upload.uuid, upload.last_active_at_utc)
        ends = upload.urls_expire_at_utc
        if ends and upload.urls_live and not force:
            raise URLsStillValid(upload.uuid, ends)
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
        with leased(removed) as lease:
            # Since it was listed, it may have been announced again.
            if lease.upload.state != REMOVED or lease.upload.urls_live:
                return
            # What has no admin metadata is no proto-dataset that somebody chose to keep.
            if storage.kind(removed.uuid) is None:
                _discard(storage, lease)
            lease.delete()


def _discard(storage: Storage, lease: Lease) -> Freed:
    return storage.discard(lease.upload.uuid, lease.upload.storage_claim, lease.check)


def _refuse_registered(uri: DatasetURI) -> None:
    if datasets.find(uri) is not None:
        raise AlreadyRegistered(uri)


def _refuse_frozen(upload: PendingUpload, storage: Storage) -> None:
    if upload.state == FROZEN or storage.kind(upload.uuid) == "dataset":
        raise UploadFrozen(upload.uuid)
