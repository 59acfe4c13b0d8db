"""Upload lifecycle, first half: claim a UUID, open the proto-dataset, sign, resume.

Knows the order of events and what makes a step repeatable; the second half is in completion.
Never sees a request, a vendor SDK or an HTTP status.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import dtoolcore

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    InvalidField,
    StorageOccupied,
    StorageUnavailable,
    UploadBusy,
    UploadConflict,
    URLsStillValid,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Item, Life, ProtoDataset, WriteURLs
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import FROZEN, OPEN, OPENING, REMOVED, PendingUpload
from dserver_signed_url_plugin.uploads.plan import HASH_FUNCTION, UploadPlan
from dserver_signed_url_plugin.uploads.quotas import Quota
from dserver_signed_url_plugin.uris import DatasetURI

# So often a UUID whose removed upload was somebody else's is claimed anew.
_ATTEMPTS = 3


@dataclass(frozen=True)
class UploadGrant:
    """What a person needs to PUT an upload; a single PUT carries at most so many bytes."""

    uri: DatasetURI
    life: Life
    items: Sequence[Item]
    urls: WriteURLs
    max_size_in_bytes: int

    @property
    def extent(self) -> Extent:
        sizes = [item.size_in_bytes for item in self.items if item.size_in_bytes is not None]
        size = sum(sizes) if len(sizes) == len(self.items) else None
        return Extent(len(self.items), size, self.life.ends)


class Uploads:
    """Begins uploads, and resumes them when they are begun again."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

    def begin(self, permit: UploadPermit, plan: UploadPlan) -> UploadGrant:
        """Open an upload, or go on with it when the same person announces the same again.

        :raises InvalidField: if dtool, dserver or the store could not keep what is announced.
        :raises AlreadyRegistered: if dserver has a dataset under this URI.
        :raises UploadConflict: if the UUID is pending elsewhere, by somebody else or otherwise.
        :raises URLsStillValid: if URLs of a removed upload could write into this one.
        :raises UploadBusy: if another request is working on this upload, or has just ended it.
        :raises StorageOccupied: if storage holds a dataset that is not this upload's.
        :raises TooMuchPending: if this person has as much pending as this server allows.
        """
        seconds = chosen_life(
            plan.expiry_seconds, self._settings.write_expiry, self._settings.max_write_expiry
        )
        uri = permit.base_uri.dataset(plan.uuid)
        datasets.check_registrable(uri)
        _refuse_registered(uri)
        storage = self._storages.of(permit.base_uri)
        self.check(permit, plan)
        life = storage.life(seconds, writing=True)
        try:
            row, quota = _row(permit, plan, uri), self._quota(permit)
            with _held(permit, row, quota) as lease:
                if lease.upload.state == OPENING or _is_lost(lease.upload, storage):
                    _open(lease, plan, uri, storage)
                # First, because it makes sure that nobody has taken over.
                lease.record_urls(life.ends, plan.all_pinned and not storage.stages_all)
                # What is opened may be what an operator struck out and left in storage.
                if lease.upload.state != FROZEN:
                    storage.delete_outdated_items(plan.uuid, plan.items)
                staging = lease.upload.staging
        except repository.UploadGone as gone:
            raise UploadBusy(plan.uuid) from gone
        urls = storage.write_urls(plan.uuid, staging, plan.items, plan.pinned, life)
        return UploadGrant(uri, life, plan.items, urls, storage.max_item_bytes)

    def _quota(self, permit: UploadPermit) -> Quota | None:
        """Return what a person may have pending; an operator at dserver's own shell is none."""
        settings = self._settings
        return Quota(settings.max_pending, settings.max_pending_bytes) if permit.username else None

    def check(self, permit: UploadPermit, plan: UploadPlan) -> None:
        """Refuse, before anything is written, what this server or this store does not take.

        :raises InvalidField: with the field and the reason.
        """
        storage = self._storages.of(permit.base_uri)
        plan.check()
        if len(plan.items) > self._settings.max_items:
            raise InvalidField("items", f"are more than this server's {self._settings.max_items}.")
        reason = storage.check_creator(plan.creator_username or permit.username)
        if reason is not None:
            raise InvalidField("creator_username", reason)
        for tag in plan.tags:
            reason = storage.check_tag(tag)
            if reason is not None:
                raise InvalidField("tags", f"{tag!r} {reason}")
        for number, item in enumerate(plan.items):
            if len(item.relpath.encode()) > storage.max_relpath_bytes:
                raise InvalidField(
                    f"items.{number}.relpath",
                    f"is longer than the {storage.max_relpath_bytes} bytes of UTF-8 that object "
                    "metadata can carry.",
                )
        plan.check_size(storage.max_item_bytes)


def _row(permit: UploadPermit, plan: UploadPlan, uri: DatasetURI) -> dict[str, Any]:
    """Return what is kept of an announcement."""
    return {
        "uuid": plan.uuid,
        "uri": str(uri),
        "base_uri": str(uri.base),
        "name": plan.name,
        "creator_username": plan.creator_username or permit.username,
        "created_at": datetime.now(timezone.utc),
        "frozen_at": plan.frozen_at,
        "manifest_json": json.dumps(_manifest(plan.items)),
        "number_of_items": len(plan.items),
        "size_in_bytes": plan.size_in_bytes,
        "descriptions_json": json.dumps({"tags": plan.tags, "annotations": plan.annotations}),
        "fingerprint": plan.fingerprint(),
        "uploader": permit.username,
        "staging": secrets.token_hex(16),
    }


@contextmanager
def _held(permit: UploadPermit, row: Mapping[str, Any], quota: Quota | None) -> Iterator[Lease]:
    """Hold the upload that is announced, which is begun, resumed, or begun again.

    :raises UploadGone: if it was completed or removed meanwhile.
    """
    for _ in range(_ATTEMPTS):
        claimed = repository.claim(quota=quota, **row)
        # Refused before anything is held, so that nobody is in the way of whoever began it.
        _refuse_another(claimed, permit, row)
        with leased(claimed, active=True) as lease:
            _refuse_another(lease.upload, permit, row)
            if lease.upload.state == REMOVED:
                if not _is_same(lease.upload, permit, row):
                    lease.delete()
                    continue
                if quota is not None:
                    quota.check(lease.upload.uploader, lease.upload.size_in_bytes)
                lease.update(state=OPENING)
            yield lease
            return
    raise repository.UploadGone


def _refuse_another(upload: PendingUpload, permit: UploadPermit, row: Mapping[str, Any]) -> None:
    """Refuse a UUID that is pending as another upload, or whose old URLs could do harm.

    :raises UploadConflict: with what differs.
    :raises URLsStillValid: with their end.
    """
    if upload.state == REMOVED:
        ends = upload.urls_expire_at_utc
        if ends and upload.urls_live and not _is_same(upload, permit, row):
            raise URLsStillValid(upload.uuid, ends)
        return
    if upload.uri != row["uri"]:
        raise UploadConflict(upload.uuid, "at another base URI")
    if not permit.may_act_for(upload.uploader):
        raise UploadConflict(upload.uuid, "by someone else")
    if upload.fingerprint != row["fingerprint"]:
        raise UploadConflict(
            upload.uuid, "with another name, creator, other items, tags, annotations or overlays"
        )


def _is_same(removed: PendingUpload, permit: UploadPermit, row: Mapping[str, Any]) -> bool:
    """Tell whether a removed upload is announced again by whom it belongs to."""
    is_theirs = permit.may_act_for(removed.uploader) and removed.uri == row["uri"]
    return is_theirs and removed.fingerprint == row["fingerprint"]


def _open(lease: Lease, plan: UploadPlan, uri: DatasetURI, storage: Storage) -> None:
    upload = lease.upload
    opening = ProtoDataset(
        uuid=upload.uuid,
        staging=upload.staging,
        claim=upload.storage_claim,
        admin_metadata=admin_metadata(upload, type="protodataset"),
        tags=plan.tags,
        annotations=plan.annotations,
        overlays=plan.overlays,
    )
    try:
        # Whoever held the UUID before may have completed it since we looked.
        _refuse_registered(uri)
        storage.open(opening, lease.check)
    except (AlreadyRegistered, StorageOccupied):
        # What was opened once may be this upload's own, frozen: its row is needed to register it.
        if upload.state == OPENING:
            lease.retire()
        raise
    except StorageUnavailable:
        # What was written may be gone because somebody else has taken over, which is no failure.
        lease.check()
        raise
    lease.update(state=OPEN, frozen_manifest_json=None)


def _is_lost(upload: PendingUpload, storage: Storage) -> bool:
    """Tell whether what was opened is gone, as when a lifecycle rule has deleted it."""
    return upload.state in (OPEN, FROZEN) and not storage.has_admin_metadata(upload.uuid)


def _refuse_registered(uri: DatasetURI) -> None:
    if datasets.find(uri) is not None:
        raise AlreadyRegistered(uri)


def announced_items(upload: PendingUpload) -> list[Item]:
    """Return the items of an upload.

    :raises UploadGone: if it was completed or removed meanwhile.
    """
    manifest, _ = repository.announced(upload)
    return items_of(manifest)


def items_of(manifest: Mapping[str, Any]) -> list[Item]:
    """Return the items of a manifest as it is kept with an upload."""
    return [Item(identifier, **entry) for identifier, entry in manifest["items"].items()]


def admin_metadata(upload: PendingUpload, **more: Any) -> Mapping[str, Any]:
    """Return dtool's admin metadata of an upload."""
    return {
        "uuid": upload.uuid,
        "dtoolcore_version": dtoolcore.__version__,
        "name": upload.name,
        "creator_username": upload.creator_username,
        "created_at": upload.created_at_utc.timestamp(),
        **more,
    }


def _manifest(items: Sequence[Item]) -> Mapping[str, Any]:
    """Return what was announced, in the shape of dtool's manifest."""
    return {
        "items": {
            item.identifier: {
                "relpath": item.relpath,
                "size_in_bytes": item.size_in_bytes,
                "hash": item.hash,
                "utc_timestamp": item.utc_timestamp,
            }
            for item in items
        },
        "hash_function": HASH_FUNCTION,
        "dtoolcore_version": dtoolcore.__version__,
    }
