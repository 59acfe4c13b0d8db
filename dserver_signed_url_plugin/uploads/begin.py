"""Beginning an upload, or resuming it: permission, plan, claim, proto-dataset, signed URLs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import dtoolcore

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    StorageOccupied,
    StorageUnavailable,
    UploadBusy,
    UploadConflict,
    UploadElsewhere,
    UploadOfAnother,
    URLsStillValid,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Contents, Life, ProtoDataset
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.grant import UploadGrant, grant_urls
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.plan import UploadPlan
from dserver_signed_url_plugin.uploads.quotas import Quota
from dserver_signed_url_plugin.uploads.tokens import UploadTokens
from dserver_signed_url_plugin.uploads.unsent import not_stored
from dserver_signed_url_plugin.uris import DatasetURI

# How often a UUID is claimed anew if it belonged to a removed upload of somebody else.
_ATTEMPTS = 3


class Uploads:
    """Begins uploads, and resumes them when the same is announced again."""

    def __init__(self, settings: Settings, storages: Storages, tokens: UploadTokens) -> None:
        self._settings, self._storages, self._tokens = settings, storages, tokens

    def begin(self, permit: UploadPermit, plan: UploadPlan) -> UploadGrant:
        """Begin an upload, or resume it if the same user announces the same again.

        :raises InvalidField: if dtool, dserver or the store cannot keep what is announced.
        :raises AlreadyRegistered: if dserver has a dataset under this URI.
        :raises UploadElsewhere: if the UUID is pending at another base URI.
        :raises UploadOfAnother: if it is pending by someone else.
        :raises UploadConflict: if it is pending with other contents.
        :raises URLsStillValid: if URLs of a removed upload could write into this one.
        :raises UploadBusy: if another request is working on this upload, or has just ended it.
        :raises StorageOccupied: if storage holds a dataset that is not this upload's.
        :raises TooMuchPending: if this user has as much pending as this server allows.
        """
        seconds = chosen_life(
            plan.expiry_seconds, self._settings.write_expiry, self._settings.max_write_expiry
        )
        uri = permit.base_uri.dataset(plan.uuid)
        datasets.check_registrable(uri)
        _refuse_registered(uri)
        begun = repository.find(plan.uuid) if plan.multipart else None
        storage = self.check(permit, plan, begun)
        life = storage.uploads.life(seconds)
        try:
            with _claimed(permit, _row(permit, plan, uri), self._quota(permit)) as lease:
                grant = self._granted(lease, plan, storage, life)
                token = self._tokens.make(lease.upload, permit.username, life.ends)
                return replace(grant, announced=plan.items, token=token)
        except repository.UploadGone as gone:
            raise UploadBusy(plan.uuid) from gone

    def check(
        self, permit: UploadPermit, plan: UploadPlan, begun: PendingUpload | None = None
    ) -> Storage:
        """Check a plan against dtool, this server and the store; return the storage.

        :param begun: the upload if it is resumed, whose parts keep their size.
        :raises InvalidField: with the field and the reason.
        """
        storage = self._storages.of(permit.base_uri)
        plan.check()
        creator = plan.creator_username or permit.username
        plan.check_limits(storage.uploads.limits, self._settings.max_items, creator)
        parts = None if storage.parts is None else storage.parts.limits
        part_bytes = begun.part_bytes if begun is not None else None
        plan.check_sizes(storage.uploads.limits, parts, part_bytes or self._settings.part_bytes)
        return storage

    def _granted(self, lease: Lease, plan: UploadPlan, storage: Storage, life: Life) -> UploadGrant:
        """Create the proto-dataset, and sign URLs for what is still to be sent."""
        contents = _created(lease, plan, storage)
        if plan.multipart and lease.upload.part_bytes is None:
            lease.update(part_bytes=self._settings.part_bytes)
        items = plan.items
        if plan.skips_stored:
            items = not_stored(lease.upload, items, contents)
        return grant_urls(
            lease,
            storage,
            items,
            contents,
            life,
            pinned=plan.pinned,
            multipart=plan.multipart,
            writes_empty=plan.skips_stored,
        )

    def _quota(self, permit: UploadPermit) -> Quota | None:
        """Return what the user may have pending; None for the operator."""
        settings = self._settings
        return Quota(settings.max_pending, settings.max_pending_bytes) if permit.username else None


def _row(permit: UploadPermit, plan: UploadPlan, uri: DatasetURI) -> dict[str, Any]:
    """Return the columns of an announcement."""
    return {
        "uuid": plan.uuid,
        "uri": str(uri),
        "base_uri": str(uri.base),
        "name": plan.name,
        "creator_username": plan.creator_username or permit.username,
        "created_at": datetime.now(timezone.utc),
        "frozen_at": plan.frozen_at,
        "manifest_json": Manifest.of(plan.items, dtoolcore.__version__).to_json(),
        "number_of_items": len(plan.items),
        "size_in_bytes": plan.size_in_bytes,
        "descriptions_json": json.dumps({"tags": plan.tags, "annotations": plan.annotations}),
        "fingerprint": plan.fingerprint(),
        "uploader": permit.username,
        "staging": secrets.token_hex(16),
    }


@contextmanager
def _claimed(permit: UploadPermit, row: Mapping[str, Any], quota: Quota | None) -> Iterator[Lease]:
    """Hold the lease of the announced upload, which is begun, resumed, or begun again.

    :raises UploadGone: if it was completed or removed meanwhile.
    """
    for _ in range(_ATTEMPTS):
        claimed = repository.claim(quota=quota, **row)
        # Checked before the lease is taken, so that a stranger does not delay the uploader.
        _refuse_another(claimed, permit, row)
        with leased(claimed, active=True) as lease:
            _refuse_another(lease.upload, permit, row)
            if lease.upload.state is UploadState.REMOVED:
                if not _is_same(lease.upload, permit, row):
                    lease.delete()
                    continue
                if not lease.begin_again(quota) and quota is not None:
                    raise quota.refusal(lease.upload.uploader, lease.upload.size_in_bytes)
            yield lease
            return
    raise repository.UploadGone


def _refuse_another(upload: PendingUpload, permit: UploadPermit, row: Mapping[str, Any]) -> None:
    """Refuse a UUID that is pending as another upload, or to which old URLs can still write.

    :raises UploadElsewhere: if it is pending at another base URI.
    :raises UploadOfAnother: if it is pending by someone else.
    :raises UploadConflict: if it is pending with other contents.
    :raises URLsStillValid: with their end.
    """
    if upload.state is UploadState.REMOVED:
        ends = upload.urls_expire_at_utc
        if ends and upload.urls_live and not _is_same(upload, permit, row):
            raise URLsStillValid(upload.uuid, ends)
        return
    if upload.uri_text != row["uri"]:
        raise UploadElsewhere(upload.uuid)
    if not permit.may_act_for(upload.uploader):
        raise UploadOfAnother(upload.uuid)
    if upload.fingerprint != row["fingerprint"]:
        raise UploadConflict(upload.uuid)


def _is_same(removed: PendingUpload, permit: UploadPermit, row: Mapping[str, Any]) -> bool:
    """Return whether a removed upload is announced again, by its uploader."""
    is_theirs = permit.may_act_for(removed.uploader) and removed.uri_text == row["uri"]
    return is_theirs and removed.fingerprint == row["fingerprint"]


def _created(lease: Lease, plan: UploadPlan, storage: Storage) -> Contents:
    """Create the proto-dataset, unless storage holds it; return what is stored, if that counts."""
    upload = lease.upload
    # Before it is opened, no URL is handed out; those of a removed upload may still work.
    is_new = upload.state is UploadState.OPENING and not upload.urls_live
    _create(lease, plan, storage)
    if is_new or not (plan.skips_stored or storage.create_only_items is not None):
        return Contents()
    return storage.uploads.contents(upload.uuid, upload.staging)


def _create(lease: Lease, plan: UploadPlan, storage: Storage) -> None:
    """Create the proto-dataset, unless storage holds it."""
    upload = lease.upload
    if upload.state is not UploadState.OPENING and storage.uploads.has_admin_metadata(upload.uuid):
        return
    proto_dataset = ProtoDataset(
        uuid=upload.uuid,
        claim=upload.storage_claim,
        admin_metadata=upload.admin_metadata("protodataset"),
        tags=plan.tags,
        annotations=plan.annotations,
        overlays=plan.overlays,
    )
    try:
        # Whoever held the UUID before may have completed it since the first check.
        _refuse_registered(upload.uri)
        storage.uploads.create(proto_dataset, lease.check)
    except (AlreadyRegistered, StorageOccupied):
        # What was created once may be this upload's own, frozen: its row is needed to register it.
        if upload.state is UploadState.OPENING:
            lease.retire()
        raise
    except StorageUnavailable:
        # What was written may be gone because another request has taken over, which is no failure.
        lease.check()
        raise
    lease.update(state=UploadState.OPEN, frozen_manifest_json=None)


def _refuse_registered(uri: DatasetURI) -> None:
    if datasets.find(uri) is not None:
        raise AlreadyRegistered(uri)
