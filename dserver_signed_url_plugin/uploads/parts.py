"""URLs for the parts of an item, for clients that send several items, or several parts, at once.

Needs no lease: two requests at the same time share one upload ID of the store. Whatever completes
or removes the upload meanwhile either sees the upload ID in the table, or makes the request fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.errors import (
    AlreadyRegistered,
    InvalidField,
    ItemNotFound,
    ItemStored,
    NotUploader,
    SignedURLError,
    UploadBusy,
    UploadFrozen,
    UploadNotFound,
    UploadNotOpened,
)
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.parts import Division, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import PartStore, Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import IDENTIFIER, Item, Life, SignedRequest
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uploads import part_repository, repository
from dserver_signed_url_plugin.uploads.assembly import accepted, part_upload
from dserver_signed_url_plugin.uploads.division import divisions
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.parts_plan import PartsPlan
from dserver_signed_url_plugin.uris import DatasetURI

# How often parts are begun, if the store forgets them, or other requests end what they have begun.
_ATTEMPTS = 3


@dataclass(frozen=True)
class PartGrant:
    """Signed requests to PUT parts of an item, and the parts that the store holds, by number."""

    uri: DatasetURI
    identifier: str
    life: Life
    division: Division
    requests: Mapping[int, SignedRequest]
    stored: Mapping[int, StoredPart]

    @property
    def extent(self) -> Extent:
        size = sum(self.division.bytes_of(number) for number in self.requests)
        return Extent(1, size, self.life.ends)


@dataclass(frozen=True)
class _Begun:
    """The parts of an item, those that the store lists, and when they were begun (UTC)."""

    parts: PartUpload
    stored: Mapping[int, StoredPart]
    at: datetime


class PartSigner:
    """Signs URLs for the parts of items."""

    def __init__(self, settings: Settings, storages: Storages, lifecycles: Lifecycles) -> None:
        self._settings, self._storages, self._lifecycles = settings, storages, lifecycles

    def sign(self, permit: UploadPermit, uuid: str, identifier: str, plan: PartsPlan) -> PartGrant:
        """Sign PUTs for parts of an item, and list those that are stored.

        :raises UploadNotFound: if there is no such upload.
        :raises NotUploader: unless the caller is the uploader or an admin.
        :raises AlreadyRegistered: or UploadFrozen, if it was completed.
        :raises UploadNotOpened: if there is no proto-dataset to write to.
        :raises ItemNotFound: if the upload has no such item.
        :raises ItemStored: if its parts were assembled.
        :raises InvalidField: for an item that is sent whole, and for a part that it does not have.
        """
        seconds = chosen_life(
            plan.expiry_seconds, self._settings.write_expiry, self._settings.max_write_expiry
        )
        uri = permit.base_uri.dataset(uuid)
        upload = open_upload(permit, uri)
        storage = self._storages.of(permit.base_uri)
        item, division = _divided(upload, identifier, storage)
        plan.check(division.count)
        try:
            begun, life = self._living(upload, item, storage, seconds)
            requests = _parts(storage).part_urls(begun.parts, plan.hashes, life)
            # Before they are handed out: the upload is not completed or removed in between.
            if not repository.extend_urls(upload, life.ends):
                # What has ended the upload may need the upload ID, and deletes it with the others.
                _parts(storage).abort(begun.parts)
                raise repository.UploadGone
        except repository.UploadGone as gone:
            raise _refusal(uri, repository.find(uuid)) from gone
        return PartGrant(uri, identifier, life, division, requests, begun.stored)

    def _living(
        self, upload: PendingUpload, item: Item, storage: Storage, seconds: int
    ) -> tuple[_Begun, Life]:
        """Return the parts of an item, and the life of their URLs, which no rule cuts short.

        Parts that a lifecycle rule may delete at any moment are begun anew.
        """
        for _ in range(_ATTEMPTS):
            begun, life = _begun(upload, item, storage), storage.uploads.life(seconds)
            ends = self._lifecycles.parts_end(upload.uri, begun.at)
            life = life if ends is None else life.until(ends, "lifecycle")
            if life.seconds > 0:
                return begun, life
            _abort(upload, begun, storage)
        raise UploadBusy(upload.uuid)


def open_upload(permit: UploadPermit, uri: DatasetURI) -> PendingUpload:
    """Return an upload of which parts may be sent.

    :raises SignedURLError: as PartSigner.sign() does.
    """
    upload = repository.find(uri.uuid)
    is_there = upload is not None and upload.uri_text == str(uri)
    if upload is None or not is_there or upload.state is UploadState.REMOVED:
        raise _refusal(uri, None)
    if not permit.may_act_for(upload.uploader):
        raise NotUploader("send parts of")
    if upload.state is not UploadState.OPEN:
        raise _refusal(uri, upload)
    return upload


def _refusal(uri: DatasetURI, upload: PendingUpload | None) -> SignedURLError:
    """Return the error for an upload that is not open, or is being removed."""
    if datasets.find(uri) is not None:
        return AlreadyRegistered(uri)
    if upload is None or upload.state is UploadState.REMOVED:
        return UploadNotFound(uri)
    if upload.state is UploadState.FROZEN:
        return UploadFrozen(upload.uuid)
    if upload.state is UploadState.OPEN:
        return UploadBusy(upload.uuid)
    return UploadNotOpened(upload.uuid)


def _divided(upload: PendingUpload, identifier: str, storage: Storage) -> tuple[Item, Division]:
    # Others have characters with a meaning for the databases' paths to JSON.
    if not IDENTIFIER.fullmatch(identifier):
        raise ItemNotFound(identifier[:40])
    item = repository.announced_item(upload, identifier)
    if item is None:
        raise ItemNotFound(identifier)
    division = divisions(upload, [item], storage).get(identifier)
    if division is None:
        raise InvalidField(
            "identifier",
            "is of an item that is not sent in parts: announce the upload again, with multipart: "
            "true, and send the item as the answer says.",
        )
    return item, division


def _parts(storage: Storage) -> PartStore:
    if storage.parts is None:
        raise AssertionError("only a storage that assembles parts has items that are divided")
    return storage.parts


def _abort(upload: PendingUpload, begun: _Begun, storage: Storage) -> None:
    _parts(storage).abort(begun.parts)
    part_repository.forget(upload, begun.parts.identifier, begun.parts.upload_id)


def _begun(upload: PendingUpload, item: Item, storage: Storage) -> _Begun:
    """Return the parts of an item as the store keeps them, begun if they were not."""
    parts = _parts(storage)
    for _ in range(_ATTEMPTS):
        kept = part_repository.find(upload, item.identifier)
        if kept is None:
            begun = begin_parts(upload, item, parts)
            if begun is not None:
                return _Begun(begun, {}, datetime.now(timezone.utc))
            continue
        known = part_upload(upload, kept)
        stored = parts.stored_parts(known)
        if stored is not None:
            return _Begun(known, stored, in_utc(kept.created_at))
        _refuse_stored(upload, item, storage)
        # Aborted by somebody, or by a lifecycle rule.
        part_repository.forget(upload, item.identifier, kept.upload_id)
    raise UploadBusy(upload.uuid)


def begin_parts(upload: PendingUpload, item: Item, parts: PartStore) -> PartUpload | None:
    """Begin the parts of an item; None if another request has done so at the same time."""
    begun = parts.begin(upload.uuid, item)
    try:
        kept = part_repository.claim(upload, item.identifier, begun.upload_id)
    except repository.UploadGone:
        parts.abort(begun)
        raise
    if kept == begun.upload_id:
        return begun
    parts.abort(begun)
    return None


def _refuse_stored(upload: PendingUpload, item: Item, storage: Storage) -> None:
    """Refuse an item whose parts the store does not know because they were assembled."""
    kept = part_repository.find(upload, item.identifier)
    if kept is None or kept.assembled_md5 is None:
        return
    contents = storage.uploads.contents(upload.uuid, upload.staging)
    if accepted(kept, item, contents.final.get(item.identifier)) is not None:
        raise ItemStored(item.relpath)
