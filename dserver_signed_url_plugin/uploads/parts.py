"""URLs for the parts of an item, for clients that send several items, or several parts, at once.

Needs no lease: two requests at the same time share one upload ID of the store. Whatever completes
or removes the upload meanwhile either sees the upload ID in the table, or makes the request fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.parts import Division, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import PartStore, Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Item, Life, SignedRequest
from dserver_signed_url_plugin.uploads import part_repository, repository
from dserver_signed_url_plugin.uploads.assembly import accepted, part_upload
from dserver_signed_url_plugin.uploads.division import divisions
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.plan import PartsPlan
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


class PartSigner:
    """Signs URLs for the parts of items."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

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
        upload = _open(permit, uri)
        storage = self._storages.of(permit.base_uri)
        item, division = _divided(upload, identifier, storage)
        plan.check(division.count)
        life = storage.uploads.life(seconds)
        parts = _parts(storage)
        try:
            begun, stored = _begun(upload, item, storage)
            requests = parts.part_urls(begun, plan.hashes, life)
            # Before they are handed out: the upload is not completed or removed in between.
            if not repository.extend_urls(upload, life.ends):
                parts.abort(begun)
                part_repository.forget(upload, identifier, begun.upload_id)
                raise repository.UploadGone
        except repository.UploadGone as gone:
            raise _refusal(uri, repository.find(uuid)) from gone
        return PartGrant(uri, identifier, life, division, requests, stored)


def _open(permit: UploadPermit, uri: DatasetURI) -> PendingUpload:
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
    """Return the error for an upload that is not open."""
    if datasets.find(uri) is not None:
        return AlreadyRegistered(uri)
    if upload is None or upload.state is UploadState.REMOVED:
        return UploadNotFound(uri)
    if upload.state is UploadState.FROZEN:
        return UploadFrozen(upload.uuid)
    return UploadNotOpened(upload.uuid)


def _divided(upload: PendingUpload, identifier: str, storage: Storage) -> tuple[Item, Division]:
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


def _begun(
    upload: PendingUpload, item: Item, storage: Storage
) -> tuple[PartUpload, Mapping[int, StoredPart]]:
    """Return the parts of an item as the store keeps them, begun if they were not."""
    parts = _parts(storage)
    for _ in range(_ATTEMPTS):
        kept = part_repository.find(upload, item.identifier)
        if kept is None:
            begun = _begin(upload, item, parts)
            if begun is not None:
                return begun, {}
            continue
        known = part_upload(upload, kept)
        stored = parts.stored_parts(known)
        if stored is not None:
            return known, stored
        _refuse_stored(upload, item, storage)
        # Aborted by somebody, or by a lifecycle rule.
        part_repository.forget(upload, item.identifier, kept.upload_id)
    raise UploadBusy(upload.uuid)


def _begin(upload: PendingUpload, item: Item, parts: PartStore) -> PartUpload | None:
    """Begin the parts of an item; None if another request has done so at the same time."""
    begun = parts.begin(upload.uuid, upload.staging, item)
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
