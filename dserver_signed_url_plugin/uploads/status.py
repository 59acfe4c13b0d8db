"""The status of an upload: which items are stored, missing or wrong; URLs for those to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.errors import (
    NotUploader,
    UploadFrozen,
    UploadIncomplete,
    UploadNotFound,
    UploadNotOpened,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Contents, Item
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.assembly import ListedParts, accept, list_parts
from dserver_signed_url_plugin.uploads.comparison import Comparison, compare
from dserver_signed_url_plugin.uploads.grant import UploadGrant, grant_urls
from dserver_signed_url_plugin.uploads.lease import Lease, leased
from dserver_signed_url_plugin.uploads.models import ItemInParts, PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.tokens import UploadTokens
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class UploadStatus:
    """An upload and what storage holds of it; ``upload`` is None for a registered dataset.

    ``parts`` are those of the first items that are not in place and were begun in parts.
    """

    uri: DatasetURI
    is_opened: bool = True
    upload: PendingUpload | None = None
    items: Sequence[Item] = ()
    stored_bytes: int = 0
    comparison: Comparison | None = None
    parts: Sequence[ListedParts] = ()
    grant: UploadGrant | None = None

    @property
    def extent(self) -> Extent:
        return Extent() if self.grant is None else self.grant.extent

    @property
    def state(self) -> str:
        """The state of the upload, or ``registered``."""
        return "registered" if self.upload is None else self.upload.state.value


class UploadStatuses:
    """Answers how far pending uploads are."""

    def __init__(self, settings: Settings, storages: Storages, tokens: UploadTokens) -> None:
        self._settings, self._storages, self._tokens = settings, storages, tokens

    def of(
        self,
        permit: UploadPermit,
        uuid: str,
        *,
        urls: bool = False,
        expiry_seconds: int | None = None,
    ) -> UploadStatus:
        """Compare an upload with what storage holds.

        :param urls: whether to sign PUTs for exactly what is missing or wrong.
        :param expiry_seconds: how long these URLs should work; None for the server's default.
        :raises UploadNotFound: if there is neither an upload nor a dataset.
        :raises NotUploader: unless the caller is the uploader or an admin.
        :raises UploadNotOpened: with ``urls``, if there is no proto-dataset to write to.
        :raises UploadFrozen: with ``urls``, if nothing is left to be sent.
        :raises UploadBusy: with ``urls``, if another request is opening or completing it.
        """
        seconds = chosen_life(
            expiry_seconds, self._settings.write_expiry, self._settings.max_write_expiry
        )
        uri = permit.base_uri.dataset(uuid)
        upload = repository.find(uuid)
        if upload is None or upload.uri_text != str(uri) or upload.state is UploadState.REMOVED:
            return _registered(uri)
        if not permit.may_act_for(upload.uploader):
            raise NotUploader("look into")
        storage = self._storages.of(permit.base_uri)
        try:
            if not urls:
                return _status(upload, storage, _contents(upload, storage))
            with leased(upload, active=True) as lease:
                status, grant = _granted(lease, storage, seconds)
                token = self._tokens.make(upload, permit.username, grant.life.ends)
                return replace(status, grant=replace(grant, token=token))
        except repository.UploadGone:
            return _registered(uri)


def _contents(upload: PendingUpload, storage: Storage) -> Contents:
    # If the proto-dataset has not been created, nothing can have been stored.
    opened = upload.state is not UploadState.OPENING
    return storage.uploads.contents(upload.uuid, upload.staging) if opened else Contents()


def _status(upload: PendingUpload, storage: Storage, contents: Contents) -> UploadStatus:
    manifest, _ = repository.announced(upload)
    items = list(manifest.items.values())
    known = accept(upload, items, contents)
    found = compare(items, contents)
    return UploadStatus(
        upload.uri,
        contents.opened,
        upload,
        items,
        _bytes_stored(found),
        comparison=found,
        parts=_parts(upload, storage, known, items, found) if known else (),
    )


def _parts(
    upload: PendingUpload,
    storage: Storage,
    known: Mapping[str, ItemInParts],
    items: Sequence[Item],
    found: Comparison,
) -> Sequence[ListedParts]:
    to_send = found.to_send
    begun = [item for item in items if item.identifier in known and item.relpath in to_send]
    # A request to the store for each.
    return list_parts(upload, storage, known, begun[: UploadIncomplete.LISTED])


def _registered(uri: DatasetURI) -> UploadStatus:
    if datasets.find(uri) is None:
        raise UploadNotFound(uri)
    return UploadStatus(uri)


def _bytes_stored(found: Comparison) -> int:
    stored = [*found.in_place.values(), *(promotion.stored for promotion in found.promotions)]
    return sum(each.size_in_bytes for each in stored)


def _granted(lease: Lease, storage: Storage, seconds: int) -> tuple[UploadStatus, UploadGrant]:
    """Return the status, and URLs for the items that are missing or wrong."""
    upload = lease.upload
    if upload.state is UploadState.REMOVED:
        raise repository.UploadGone
    contents = _contents(upload, storage)
    status = _status(upload, storage, contents)
    if not status.is_opened:
        raise UploadNotOpened(upload.uuid)
    if upload.state is UploadState.FROZEN:
        raise UploadFrozen(upload.uuid)
    to_send = set() if status.comparison is None else status.comparison.to_send
    items = [item for item in status.items if item.relpath in to_send]
    life = storage.uploads.life(seconds)
    # An upload stays pinned if all of its URLs so far were, and in parts if it was once.
    grant = grant_urls(lease, storage, items, contents, life, pinned=upload.pinned, multipart=True)
    return status, grant
