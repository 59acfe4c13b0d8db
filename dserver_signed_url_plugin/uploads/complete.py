"""Upload lifecycle, second half: verify, promote, freeze, register, tidy up.

Every step may be the last one before a crash; the same call again goes on from there. Never sees a
request, a vendor SDK or an HTTP status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import dtoolcore

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    InvalidField,
    NoPendingUpload,
    NotUploader,
    UploadConflict,
    UploadIncomplete,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Contents, FrozenDataset, Item, StoredItem
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.begin import admin_metadata, items_of
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import FROZEN, OPEN, OPENING, REMOVED, PendingUpload
from dserver_signed_url_plugin.uploads.plan import HASH_FUNCTION
from dserver_signed_url_plugin.uploads.verification import (
    Properties,
    properties,
    verify,
    verify_promoted,
)
from dserver_signed_url_plugin.uris import DatasetURI

# dserver keeps the README beside manifest and annotations; a person writes it by hand.
MOST_README_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Completion:
    """The dataset that an upload has become; bytes as registered, or else as announced."""

    uri: str
    uuid: str
    name: str
    number_of_items: int | None
    size_in_bytes: int | None

    @property
    def extent(self) -> Extent:
        return Extent(self.number_of_items, self.size_in_bytes)


@dataclass(frozen=True)
class _Context:
    """What a completion holds: the right to work, what was announced, and what there is."""

    lease: Lease
    items: Sequence[Item]
    holdings: Contents


class Completions:
    """Turns uploads into registered datasets."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

    def complete(self, permit: UploadPermit, uuid: str) -> Completion:
        """Verify, freeze and register an upload; for a finished one, the same answer again.

        :raises UploadIncomplete: with what is missing or different, item by item.
        :raises NoPendingUpload: if there is neither an upload nor a dataset.
        :raises UploadBusy: if another completion is running.
        :raises UploadConflict: if the UUID is pending at another URI.
        """
        uri = permit.base_uri.dataset(uuid)
        upload = _find(permit, uri)
        if upload is None:
            return _finished(uri)
        storage = self._storages.of(permit.base_uri)
        try:
            # What an operator repairs at night has not been worked on by anybody.
            with leased(upload, active=not permit.is_operator) as lease:
                self._finish(uri, storage, lease)
        except repository.UploadGone:
            # Somebody else was quicker, at completing it or at giving it up.
            pass
        return _finished(uri)

    def _finish(self, uri: DatasetURI, storage: Storage, lease: Lease) -> None:
        upload = lease.upload
        if upload.state == REMOVED:
            raise repository.UploadGone
        temporary: Mapping[str, StoredItem | None] | None = None
        if datasets.find(uri) is None:
            holdings = _holdings(upload, storage)
            temporary = holdings.temporary
            readme = None
            if upload.state == FROZEN:
                manifest, descriptions = repository.frozen(upload)
                _refuse_lost(manifest["items"].keys(), holdings, lease)
                readme = _frozen_readme(upload, storage, manifest)
            if readme is None:
                announced, descriptions = repository.announced(upload)
                work = _Context(lease, items_of(announced), holdings)
                manifest, readme = self._freeze(upload, storage, work)
            lease.check()
            datasets.register(uri, _dataset_info(upload, uri, manifest, descriptions, readme))
        storage.delete_temporary(upload.uuid, temporary)
        lease.delete()

    def _freeze(
        self, upload: PendingUpload, storage: Storage, work: _Context
    ) -> tuple[dict[str, Any], str]:
        """Verify, promote, and write what makes it a dataset; return its manifest and README."""
        readme = _staged_readme(upload, storage)
        kept = _readme_in_place(upload, storage) if readme is None else None
        stored = self._promote(upload, storage, work)
        manifest = _manifest(self._properties(upload, storage, work.items, stored))
        frozen_at = upload.frozen_at if upload.frozen_at is not None else time.time()
        # Noted first, so that a repeated completion freezes with the same time.
        work.lease.update(frozen_at=frozen_at)
        written = None if kept is not None else readme or ""
        freezing = FrozenDataset(written, manifest, _frozen_metadata(upload, frozen_at))
        storage.freeze(upload.uuid, freezing, work.lease.check)
        work.lease.update(state=FROZEN, frozen_manifest_json=json.dumps(manifest))
        return manifest, readme or kept or ""

    def _promote(
        self, upload: PendingUpload, storage: Storage, work: _Context
    ) -> Mapping[str, StoredItem]:
        outcome = verify(work.items, work.holdings)
        outcome.require(storage.max_item_bytes)
        if not outcome.promotions:
            return outcome.in_place
        work.lease.check()
        found = storage.promote(upload.uuid, upload.staging, outcome.promotions)
        promoted = verify_promoted(outcome.promotions, found)
        promoted.require(storage.max_item_bytes)
        return {**outcome.in_place, **promoted.in_place}

    def _properties(
        self,
        upload: PendingUpload,
        storage: Storage,
        items: Sequence[Item],
        stored: Mapping[str, StoredItem],
    ) -> dict[str, Properties]:
        hints: Mapping[str, Any] = {}
        if any(item.utc_timestamp is None for item in items):
            limit = self._settings.max_body_bytes
            hints = _uploaded_items(
                storage.staged_document(upload.uuid, upload.staging, "manifest", limit)
            )
        return {
            item.identifier: properties(item, stored[item.identifier], hints.get(item.identifier))
            for item in items
        }


def _find(permit: UploadPermit, uri: DatasetURI) -> PendingUpload | None:
    upload = repository.find(uri.uuid)
    if upload is None or upload.state == REMOVED:
        return None
    if upload.uri != str(uri):
        raise UploadConflict(uri.uuid, "at another base URI")
    if permit.may_act_for(upload.uploader):
        return upload
    # Somebody may have begun the UUID of a finished dataset, and been interrupted.
    if datasets.find(uri) is not None:
        return None
    raise NotUploader("complete")


def _finished(uri: DatasetURI) -> Completion:
    dataset = datasets.find(uri)
    if dataset is None:
        raise NoPendingUpload(uri)
    items, size = dataset.number_of_items, dataset.size_in_bytes
    return Completion(dataset.uri, dataset.uuid, dataset.name, items, size)


def _holdings(upload: PendingUpload, storage: Storage) -> Contents:
    opened = upload.state != OPENING
    holdings = storage.holdings(upload.uuid, upload.staging) if opened else Contents()
    if upload.state == FROZEN or holdings.opened:
        return holdings
    raise UploadIncomplete("Storage does not hold the proto-dataset")


def _refuse_lost(identifiers: Set[str], holdings: Contents, lease: Lease) -> None:
    """Go back to before the freeze if the store, by a lifecycle rule, has not kept it since."""
    if not holdings.opened or not identifiers <= holdings.final.keys():
        lease.update(state=OPEN, frozen_manifest_json=None)
        raise UploadIncomplete(
            "Storage has lost parts of what was frozen, before dserver could register it"
        )


def _frozen_readme(
    upload: PendingUpload, storage: Storage, manifest: Mapping[str, Any]
) -> str | None:
    """Return the README of what was frozen before; None if that is to be done again.

    Something may have vanished since, or never have been kept, whatever the store said.
    """
    freezing = FrozenDataset(None, manifest, _frozen_metadata(upload, upload.frozen_at))
    content = storage.readme(upload.uuid, MOST_README_BYTES)
    if content is None or not storage.is_frozen(upload.uuid, freezing):
        return None
    try:
        return _decoded(content)
    except InvalidField:
        return None


def _staged_readme(upload: PendingUpload, storage: Storage) -> str | None:
    content = storage.staged_document(upload.uuid, upload.staging, "readme", MOST_README_BYTES)
    return None if content is None else _decoded(content)


def _readme_in_place(upload: PendingUpload, storage: Storage) -> str | None:
    """Return the README that the proto-dataset has already, from an earlier attempt or by hand."""
    content = storage.readme(upload.uuid, MOST_README_BYTES)
    return None if content is None else _decoded(content)


def _decoded(readme: bytes) -> str:
    if len(readme) > MOST_README_BYTES:
        raise InvalidField("readme", f"is larger than {MOST_README_BYTES} bytes; PUT another.")
    try:
        return readme.decode()
    except UnicodeDecodeError as error:
        raise InvalidField(
            "readme",
            "is not UTF-8; announce the same upload again, PUT another README, and complete it.",
        ) from error


def _uploaded_items(document: bytes | None) -> Mapping[str, Any]:
    """Return the items of a manifest that a client uploaded; it may hold nothing useful."""
    try:
        items = json.loads(document or b"{}")["items"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return items if isinstance(items, dict) else {}


def _manifest(items: Mapping[str, Properties]) -> dict[str, Any]:
    return {
        "items": items,
        "hash_function": HASH_FUNCTION,
        "dtoolcore_version": dtoolcore.__version__,
    }


def _frozen_metadata(upload: PendingUpload, frozen_at: float | None) -> Mapping[str, Any]:
    return admin_metadata(upload, type="dataset", frozen_at=frozen_at)


def _dataset_info(
    upload: PendingUpload,
    uri: DatasetURI,
    manifest: Mapping[str, Any],
    descriptions: Mapping[str, Any],
    readme: str,
) -> Mapping[str, Any]:
    """Return what dserver registers, as dservercore.utils.generate_dataset_info would."""
    return {
        **_frozen_metadata(upload, upload.frozen_at),
        "uri": str(uri),
        "base_uri": str(uri.base),
        "readme": readme,
        "manifest": manifest,
        "annotations": descriptions["annotations"],
        "tags": descriptions["tags"],
        "number_of_items": len(manifest["items"]),
        "size_in_bytes": sum(entry["size_in_bytes"] for entry in manifest["items"].values()),
    }
