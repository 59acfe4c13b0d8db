"""Completing an upload: verify, promote, freeze, register, delete what was temporary.

Every step may be the last one before a crash; the same call again continues from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dtoolcore

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    AssemblyPending,
    NoPendingUpload,
    NotUploader,
    UploadBusy,
    UploadElsewhere,
    UploadIncomplete,
)
from dserver_signed_url_plugin.observer import Observer
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.manifest import FrozenDataset, Manifest
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Contents, Item, StoredItem
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uploads import assembly, part_repository, repository
from dserver_signed_url_plugin.uploads.comparison import compare, compare_promoted, frozen_item
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.progress import CompletionProgress, WaitOver
from dserver_signed_url_plugin.uploads.readmes import frozen_readme, staged_readme, stored_readme
from dserver_signed_url_plugin.uris import DatasetURI

VERIFIED_MD5, VERIFIED_PARTS = "md5", "parts"


@dataclass(frozen=True)
class Completion:
    """The dataset that an upload has become; bytes as registered, or else as announced.

    ``verified`` is ``parts`` if the MD5 of an item that came in parts is the client's claim, or
    else ``md5`` if this completion has compared every MD5; None if an earlier one may have.
    """

    uri: DatasetURI
    name: str
    number_of_items: int | None
    size_in_bytes: int | None
    verified: str | None

    @property
    def extent(self) -> Extent:
        return Extent(self.number_of_items, self.size_in_bytes, verified=self.verified)


@dataclass(frozen=True)
class Completing:
    """An upload that is being completed, by this request or another one; nothing is granted yet."""

    uri: DatasetURI
    items_done: int
    items_total: int
    extent = Extent()


@dataclass(frozen=True)
class _Work:
    """A completion under way: the lease, the storage, the announced items, what is stored."""

    lease: Lease
    progress: CompletionProgress
    storage: Storage
    announced: Manifest
    contents: Contents

    @property
    def upload(self) -> PendingUpload:
        return self.lease.upload

    @property
    def items(self) -> Sequence[Item]:
        return list(self.announced.items.values())


class Completions:
    """Turns uploads into registered datasets."""

    def __init__(self, settings: Settings, storages: Storages, observer: Observer) -> None:
        self._settings, self._storages, self._observer = settings, storages, observer

    def complete(
        self, permit: UploadPermit, uuid: str, wait_seconds: int | None = None
    ) -> Completion | Completing:
        """Verify, freeze and register an upload; for a finished one, the same answer again.

        :param wait_seconds: for how long the caller waits. The same call again goes on; while
            another request works on the upload, it is under way, too.
        :raises UploadIncomplete: with what is missing or different, item by item.
        :raises NoPendingUpload: if there is neither an upload nor a dataset.
        :raises UploadBusy: without ``wait_seconds``, if another completion is running.
        :raises AssemblyPending: without ``wait_seconds``, while the store assembles an item.
        :raises UploadElsewhere: if the UUID is pending at another base URI.
        """
        uri, began = permit.base_uri.dataset(uuid), time.time()
        upload = _find(permit, uri)
        if upload is None:
            return _finished(uri)
        storage, verified = self._storages.of(permit.base_uri), None
        try:
            # A repair by the operator does not count as activity of the user.
            with (
                leased(upload, active=not permit.is_operator) as lease,
                CompletionProgress(lease, wait_seconds) as progress,
            ):
                verified = self._finish(uri, storage, lease, progress)
        except repository.UploadGone:
            # Another request has completed or removed it.
            pass
        except (AssemblyPending, UploadBusy, WaitOver):
            if wait_seconds is None:
                raise
            return _completing(uri)
        completion = _finished(uri, verified)
        if verified is not None:
            now, announced = time.time(), in_utc(upload.created_at).timestamp()
            self._observer.completed(now - began, now - announced, completion.size_in_bytes)
        return completion

    def _finish(
        self, uri: DatasetURI, storage: Storage, lease: Lease, progress: CompletionProgress
    ) -> str | None:
        """Finish an upload; return how it was verified, or None if it was registered before."""
        upload, verified = lease.upload, None
        if upload.state is UploadState.REMOVED:
            raise repository.UploadGone
        temporary: Mapping[str, StoredItem | None] | None = None
        if datasets.find(uri) is None:
            contents = _contents(upload, storage)
            temporary = contents.temporary
            readme = None
            if upload.state is UploadState.FROZEN:
                manifest, descriptions = repository.frozen(upload)
                in_parts = part_repository.is_in_parts(uri)
                _refuse_lost(manifest, contents, lease)
                readme = frozen_readme(upload, storage, manifest, _frozen_metadata(upload))
            if readme is None:
                announced, descriptions = repository.announced(upload)
                progress.begin(len(contents.final))
                contents = assembly.assemble(
                    lease, storage, announced, contents, progress.item_done
                )
                temporary = contents.temporary
                work = _Work(lease, progress, storage, announced, contents)
                manifest, readme, in_parts = self._freeze(work)
            lease.check()
            info = _dataset_info(upload, manifest, descriptions, readme)
            verified = VERIFIED_MD5
            if in_parts:
                info["verified"] = verified = VERIFIED_PARTS
            datasets.register(uri, info)
        assembly.abort(upload, storage)
        storage.uploads.delete_temporary(upload.uuid, temporary)
        lease.delete()
        return verified

    def _freeze(self, work: _Work) -> tuple[Manifest, str, bool]:
        """Verify, promote, and write what makes it a dataset.

        :return: its manifest, its README, and whether an item was assembled from parts.
        """
        upload, storage = work.upload, work.storage
        readme = staged_readme(upload, storage)
        kept = stored_readme(upload, storage) if readme is None else None
        stored = _promoted(work)
        manifest = self._manifest(work, stored)
        frozen_at = upload.frozen_at if upload.frozen_at is not None else time.time()
        # Recorded first, so that a repeated completion freezes with the same time.
        work.lease.update(frozen_at=frozen_at)
        in_parts = any(item.in_parts for item in stored.values())
        part_repository.note_dataset(upload.uri, in_parts=in_parts)
        written = None if kept is not None else readme or ""
        frozen = FrozenDataset(written, manifest, _frozen_metadata(upload))
        storage.uploads.freeze(upload.uuid, frozen, work.lease.check, work.progress.item_done)
        work.lease.update(state=UploadState.FROZEN, frozen_manifest_json=manifest.to_json())
        return manifest, readme or kept or "", in_parts

    def _manifest(self, work: _Work, stored: Mapping[str, StoredItem]) -> Manifest:
        """Return the manifest, with the store's values for what was not announced."""
        upload = work.upload
        hints: Mapping[str, Item] = {}
        if any(item.utc_timestamp is None for item in work.items):
            limit = self._settings.max_body_bytes
            hints = _uploaded_items(
                work.storage.uploads.staged_document(upload.uuid, upload.staging, "manifest", limit)
            )
        items = [
            frozen_item(item, stored[item.identifier], hints.get(item.identifier))
            for item in work.items
        ]
        return Manifest.of(items, dtoolcore.__version__)


def _promoted(work: _Work) -> Mapping[str, StoredItem]:
    """Verify the items, and promote those that are staged; return all by identifier."""
    upload, storage, lease = work.upload, work.storage, work.lease
    limits, in_parts = storage.uploads.limits, storage.parts is not None
    outcome = compare(work.items, work.contents)
    outcome.require(limits, in_parts=in_parts)
    work.progress.begin(len(outcome.in_place))
    if storage.staged_items is None or not outcome.promotions:
        return outcome.in_place
    lease.check()
    found = storage.staged_items.promote(
        upload.uuid, upload.staging, outcome.promotions, work.progress.item_done
    )
    promoted = compare_promoted(outcome.promotions, found)
    promoted.require(limits, in_parts=in_parts)
    return {**outcome.in_place, **promoted.in_place}


def _find(permit: UploadPermit, uri: DatasetURI) -> PendingUpload | None:
    upload = repository.find(uri.uuid)
    if upload is None or upload.state is UploadState.REMOVED:
        return None
    if upload.uri_text != str(uri):
        raise UploadElsewhere(uri.uuid)
    if permit.may_act_for(upload.uploader):
        return upload
    # Another user may have begun an upload with the UUID of a finished dataset.
    if datasets.find(uri) is not None:
        return None
    raise NotUploader("complete")


def _finished(uri: DatasetURI, verified: str | None = None) -> Completion:
    dataset = datasets.find(uri)
    if dataset is None:
        raise NoPendingUpload(uri)
    if verified is None and part_repository.is_in_parts(uri):
        verified = VERIFIED_PARTS
    return Completion(uri, dataset.name, dataset.number_of_items, dataset.size_in_bytes, verified)


def _completing(uri: DatasetURI) -> Completion | Completing:
    upload = repository.find(uri.uuid)
    if upload is None or upload.state is UploadState.REMOVED:
        return _finished(uri)
    return Completing(uri, upload.items_done or 0, upload.number_of_items)


def _contents(upload: PendingUpload, storage: Storage) -> Contents:
    opened = upload.state is not UploadState.OPENING
    contents = storage.uploads.contents(upload.uuid, upload.staging) if opened else Contents()
    if upload.state is UploadState.FROZEN or contents.opened:
        return contents
    raise UploadIncomplete("Storage does not hold the proto-dataset")


def _refuse_lost(frozen: Manifest, contents: Contents, lease: Lease) -> None:
    """Open the upload again if a lifecycle rule has deleted parts of what was frozen."""
    if not contents.opened or not frozen.items.keys() <= contents.final.keys():
        lease.update(state=UploadState.OPEN, frozen_manifest_json=None)
        raise UploadIncomplete(
            "Storage has lost parts of what was frozen, before dserver could register it"
        )


def _uploaded_items(document: bytes | None) -> Mapping[str, Item]:
    """Return the items of a manifest that the client uploaded, which may be anything."""
    try:
        return Manifest.from_json(document or b"").items
    except ValueError:
        return {}


def _frozen_metadata(upload: PendingUpload) -> Mapping[str, Any]:
    return upload.admin_metadata("dataset", frozen_at=upload.frozen_at)


def _dataset_info(
    upload: PendingUpload, manifest: Manifest, descriptions: Mapping[str, Any], readme: str
) -> dict[str, Any]:
    """Return what dserver registers, as dservercore.utils.generate_dataset_info would."""
    return {
        **_frozen_metadata(upload),
        "uri": str(upload.uri),
        "base_uri": str(upload.uri.base),
        "readme": readme,
        "manifest": manifest.as_dict(),
        "annotations": descriptions["annotations"],
        "tags": descriptions["tags"],
        "number_of_items": len(manifest.items),
        "size_in_bytes": manifest.size_in_bytes,
    }
