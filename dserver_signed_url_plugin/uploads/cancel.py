"""Removing an upload, for the uploader who cancels it or for the operator.

Never removed are datasets that are registered or frozen, uploads that a request works on, and,
unless forced, uploads whose URLs can still write.
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
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Freed
from dserver_signed_url_plugin.uploads import assembly, repository
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class Cancellation:
    """An upload that was removed, and what that freed."""

    uri: DatasetURI
    freed: Freed = field(default_factory=Freed)

    @property
    def extent(self) -> Extent:
        return Extent(size_in_bytes=self.freed.size_in_bytes)


class Cancellations:
    """Removes uploads."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages

    def cancel(self, permit: UploadPermit, uuid: str) -> Cancellation:
        """Remove an upload for the user who began it, storage included; idempotent.

        :raises AlreadyRegistered: if it has become a dataset.
        :raises UploadFrozen: if it is frozen, and waits to be registered.
        :raises UploadBusy: if it is being opened or completed.
        """
        uri = permit.base_uri.dataset(uuid)
        upload = repository.find(uuid)
        if upload is None or upload.uri_text != str(uri) or upload.state is UploadState.REMOVED:
            _refuse_registered(uri)
            return Cancellation(uri)
        if not permit.may_act_for(upload.uploader):
            raise NotUploader("cancel")
        try:
            return Cancellation(uri, self.remove(upload, delete_storage=True, force=True))
        except repository.UploadGone:
            # Another request has completed or removed it.
            _refuse_registered(uri)
            return Cancellation(uri)

    def remove(
        self,
        upload: PendingUpload,
        *,
        delete_storage: bool,
        force: bool,
        idle_since: datetime | None = None,
    ) -> Freed:
        """Remove an upload; storage first, so that after a failure the row is still there.

        :param force: remove it although its URLs can still write.
        :param idle_since: only if there was no activity since then (UTC).
        :raises URLsStillValid: if they can, and it is not forced.
        :raises UploadActive: if there was activity.
        :raises UploadGone: if it was completed or removed meanwhile.
        """
        self.check_removable(upload, force=force, idle_since=idle_since)
        with leased(upload, removal=True) as lease:
            if lease.upload.state is UploadState.REMOVED:
                raise repository.UploadGone
            # Since it was listed, it may have been resumed, frozen or registered.
            self.check_removable(lease.upload, force=force, idle_since=idle_since)
            freed = self._discard(lease) if delete_storage else Freed()
            lease.retire()
        return freed

    def check_removable(
        self, upload: PendingUpload, *, force: bool, idle_since: datetime | None = None
    ) -> None:
        """Check, without its lease, that an upload may be removed.

        :raises AlreadyRegistered: and the other errors of remove().
        """
        _refuse_registered(upload.uri)
        if idle_since is not None and upload.last_active_at_utc >= idle_since:
            raise UploadActive(upload.uuid, upload.last_active_at_utc)
        ends = upload.urls_expire_at_utc
        if ends and upload.urls_live and not force:
            raise URLsStillValid(upload.uuid, ends)
        if upload.state is UploadState.FROZEN or self._dataset_type(upload) == "dataset":
            raise UploadFrozen(upload.uuid)

    def freed_by(self, upload: PendingUpload) -> Freed:
        """Return what deleting the upload's storage would free."""
        return self._storages.discards(upload.uri).size(upload.uuid, upload.storage_claim)

    def forget(self, removed: PendingUpload) -> None:
        """Delete the row of a removed upload whose URLs have ended, and what they wrote late."""
        if removed.urls_live:
            return
        with leased(removed) as lease:
            # Since it was listed, it may have been announced again.
            if lease.upload.state is not UploadState.REMOVED or lease.upload.urls_live:
                return
            # A proto-dataset that the operator has kept has admin metadata.
            if self._dataset_type(removed) is None:
                self._discard(lease)
            lease.delete()

    def _dataset_type(self, upload: PendingUpload) -> str | None:
        return self._storages.of(upload.uri.base).uploads.dataset_type(upload.uuid)

    def _discard(self, lease: Lease) -> Freed:
        upload = lease.upload
        discards = self._storages.discards(upload.uri)
        freed = discards.discard(upload.uuid, upload.storage_claim, lease.check)
        # Not every store lists the parts of all items below a key.
        assembly.abort(upload, self._storages.of(upload.uri.base))
        return freed


def _refuse_registered(uri: DatasetURI) -> None:
    if datasets.find(uri) is not None:
        raise AlreadyRegistered(uri)
