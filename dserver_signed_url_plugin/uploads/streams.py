"""Items whose size and MD5 are known only when all of their bytes have been sent, in parts.

For this server's own commands alone, whose upload has one such item and nobody resumes it. Clients
announce both, so that what they send can be verified and resumed.
"""

from __future__ import annotations

from collections.abc import Mapping

import dtoolcore

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import StorageUnavailable, UploadBusy
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.parts import PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import PartStore
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Item, SignedRequest
from dserver_signed_url_plugin.uploads import part_repository, repository
from dserver_signed_url_plugin.uploads.assembly import UNKNOWN
from dserver_signed_url_plugin.uploads.lease import leased
from dserver_signed_url_plugin.uploads.models import UploadState
from dserver_signed_url_plugin.uploads.parts import begin_parts, open_upload
from dserver_signed_url_plugin.uris import BaseURI


class StreamedItems:
    """Signs URLs for the parts of such items, and makes items of the parts."""

    def __init__(self, settings: Settings, storages: Storages) -> None:
        self._settings, self._storages = settings, storages

    def begin(self, permit: UploadPermit, uuid: str, item: Item) -> PartUpload:
        """Begin the parts of an item that was announced without size and hash.

        :raises SignedURLError: if the upload is not open.
        """
        upload = open_upload(permit, permit.base_uri.dataset(uuid))
        try:
            begun = begin_parts(upload, item, self._store(permit.base_uri))
        except repository.UploadGone as gone:
            raise UploadBusy(uuid) from gone
        if begun is None:
            raise UploadBusy(uuid)
        return begun

    def sign(self, permit: UploadPermit, parts: PartUpload, number: int, md5: str) -> SignedRequest:
        """Sign a PUT for a part with this MD5; makes no request to the store.

        :raises SignedURLError: if the upload is not open any more.
        """
        upload = open_upload(permit, permit.base_uri.dataset(parts.uuid))
        life = self._storages.of(permit.base_uri).uploads.life(self._settings.write_expiry)
        requests = self._store(permit.base_uri).part_urls(parts, {number: md5}, life)
        if not repository.extend_urls(upload, life.ends):
            raise UploadBusy(parts.uuid)
        return requests[number]

    def finish(
        self, permit: UploadPermit, parts: PartUpload, item: Item, sent: Mapping[int, StoredPart]
    ) -> None:
        """Make the item of its parts; then its upload can be completed like any other.

        :param item: with its size and hash.
        :param sent: the size and MD5 of each part, with which the store's list is compared.
        The same call again goes on, also if the store has not answered this one.

        :raises AssemblyPending: while the store assembles it.
        :raises StorageUnavailable: also if the store does not hold what was sent.
        :raises UploadBusy: if another request works on the upload.
        """
        store = self._store(permit.base_uri)
        upload = open_upload(permit, permit.base_uri.dataset(parts.uuid))
        with leased(upload, active=True) as lease:
            if lease.upload.state is not UploadState.OPEN:
                raise UploadBusy(parts.uuid)
            # None if an earlier call has assembled them, which store.assemble() finds out.
            stored = store.stored_parts(parts)
            if stored is None:
                stored = sent
            elif not _are_stored(sent, stored):
                raise _not_kept()
            # Before there is an item, which would otherwise be accepted with any size and hash.
            repository.describe(lease.upload, Manifest.of([item], dtoolcore.__version__))
            lease.update(size_in_bytes=item.size_in_bytes)
            if store.assemble(parts, item, stored) is None:
                raise _not_kept()
            lease.check()
            assembled = store.describe(parts, item, stored) or UNKNOWN
            # At last: without this note no completion accepts the item.
            part_repository.note_assembly(lease.upload, {item.identifier: assembled})

    def _store(self, base_uri: BaseURI) -> PartStore:
        store = self._storages.of(base_uri).parts
        if store is None:
            raise AssertionError("only a storage that assembles parts is sent streams in parts")
        return store


def _are_stored(sent: Mapping[int, StoredPart], stored: Mapping[int, StoredPart]) -> bool:
    """Return whether the parts are listed as sent, as far as the store tells."""
    return sent.keys() == stored.keys() and all(
        stored[number].holds(part.size_in_bytes, part.md5) for number, part in sent.items()
    )


def _not_kept() -> StorageUnavailable:
    return StorageUnavailable("The store", "has not kept what was sent, although it said so")
