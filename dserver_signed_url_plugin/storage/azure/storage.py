"""What Azure does for this plugin: sign URLs, and keep proto-datasets until they are frozen.

Knows which requests each step costs, and speaks to Azure through AzureConnection alone. Never sees
a person, a permission or the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import chain

from dserver_signed_url_plugin.config import LONGEST_LIFE, Settings
from dserver_signed_url_plugin.errors import ItemNotFound, StorageOccupied, UploadFrozen
from dserver_signed_url_plugin.filenames import Disposition, served_as
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.layout import (
    BLOBS,
    BLOCK,
    CLAIM,
    DOCUMENT_METADATA,
    block_url,
    container_metadata,
    is_item,
    item_headers,
    item_metadata,
    opening_texts,
    relpath_beside,
    staged_document,
    upload_container,
)
from dserver_signed_url_plugin.storage.azure.sas import CREATE, READ, WRITE
from dserver_signed_url_plugin.storage.base import (
    DOCUMENTS,
    Freed,
    Freezing,
    Holdings,
    Item,
    Life,
    Opening,
    Promotion,
    ReadURLs,
    SignedRequest,
    StoredItem,
    WriteURLs,
)
from dserver_signed_url_plugin.storage.manifests import Manifest
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.uris import BaseURI


class AzureStorage:
    """The datasets of one storage account.

    An item's URL creates a blob at its place and can never replace one: what it may write is there
    already once the item was verified. So nothing is staged but documents.

    Source of the limits: Microsoft, "Put Blob" (5,000 MiB in one PUT) and "Scalability targets for
    Blob Storage" (8 KiB of metadata, in which a byte of a relpath may take three).
    """

    max_relpath_bytes = 2500
    max_item_bytes = 5000 * 1024**2

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._azure = AzureConnection(base_uri.location, settings)

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds; an account key has no end."""
        now = datetime.now(timezone.utc).replace(microsecond=0)
        granted = min(seconds, LONGEST_LIFE)
        limited_by = "store" if granted < seconds else None
        return Life(now, granted, now + timedelta(seconds=granted), limited_by)

    # Reading -------------------------------------------------------------------------------

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        manifest = Manifest.read(self._azure.get(uuid, BLOBS["manifest"]), uuid)
        signer = self._azure.signer(life.ends)
        overlays, annotations, tags = each(
            lambda kind: self._names(uuid, kind), ("overlays", "annotations", "tags")
        )

        def document(name: str) -> str:
            return signer.sign(READ, uuid, BLOBS[name])

        def urls(kind: str, names: Iterable[str]) -> dict[str, str]:
            return {
                name.removesuffix(".json"): signer.sign(READ, uuid, f"{kind}/{name}")
                for name in names
            }

        return ReadURLs(
            admin_metadata=document("admin_metadata"),
            manifest=document("manifest"),
            readme=document("readme"),
            items={
                identifier: signer.sign(READ, uuid, identifier, served_as(relpath, disposition))
                for identifier, relpath in manifest.relpaths.items()
            },
            overlays=urls("overlays", overlays),
            annotations=urls("annotations", annotations),
            tags=tags,
            relpaths=manifest.relpaths,
            sizes=manifest.sizes,
        )

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Sign a GET for one item, after one HEAD, which tells its name too."""
        metadata = self._azure.metadata(uuid, identifier)
        if metadata is None:
            raise ItemNotFound(f"The dataset has no item {identifier}.")
        served = served_as(relpath_beside(identifier, metadata), disposition)
        return self._azure.signer(life.ends).sign(READ, uuid, identifier, served)

    # Uploading -----------------------------------------------------------------------------

    def check_creator(self, username: str) -> str | None:
        """Azure keeps admin metadata in a container's metadata, which is ASCII."""
        if username.isascii():
            return None
        return "must be ASCII here; send another creator_username."

    def open(self, opening: Opening, check: Callable[[], None]) -> None:
        """Write the claim, then what `dtool create` would write, then tags and the like."""
        self._occupy(opening, check)
        check()
        # Only ever made, container and blobs: a request that slept must not turn a dataset back.
        self._azure.create_container(opening.uuid, container_metadata(opening.admin_metadata))
        check()
        each(lambda text: self._create(opening.uuid, *text), list(opening_texts(opening)))
        check()
        self._create(opening.uuid, BLOBS["admin_metadata"], json.dumps(opening.admin_metadata))

    def write_urls(
        self, uuid: str, staging: str, items: Iterable[Item], pinned: bool, life: Life
    ) -> WriteURLs:
        """Sign PUTs: items are created with their headers, documents need none.

        ``pinned`` makes no difference: no SAS holds headers, and none here can replace an item.
        """
        signer = self._azure.signer(life.ends)
        staged = upload_container(uuid)
        return WriteURLs(
            documents={
                name: block_url(signer.sign(WRITE, staged, staged_document(staging, name)))
                for name in DOCUMENTS
            },
            items={
                item.identifier: SignedRequest(
                    signer.sign(CREATE, uuid, item.identifier), item_headers(item)
                )
                for item in items
            },
        )

    def make_room(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete what is not as announced, after a listing: no PUT can write over it."""
        announced = {item.identifier: item for item in items}
        wrong = [
            blob
            for blob in self._azure.listing(uuid)
            if blob.name in announced and not blob.stored.fits(announced[blob.name])
        ]
        each(lambda blob: self._azure.delete(uuid, blob), wrong)

    def holdings(self, uuid: str, staging: str) -> Holdings:
        """List the dataset's blobs, one request per 5,000; tidy needs no names."""
        found = Holdings()
        for blob in self._azure.listing(uuid):
            if is_item(blob.name):
                found.final[blob.name] = blob.stored
            elif blob.name == BLOBS["admin_metadata"]:
                found.opened = True
        return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None where none was PUT."""
        container, blob = upload_container(uuid), staged_document(staging, document)
        if not self._azure.commit(container, blob, BLOCK):
            return None
        return self._azure.get(container, blob, limit)

    def promote(
        self, uuid: str, staging: str, promotions: Sequence[Promotion]
    ) -> dict[str, StoredItem]:
        """Copy nothing: items are at their place."""
        return {}

    def freeze(self, uuid: str, freezing: Freezing, check: Callable[[], None]) -> None:
        """Correct items' metadata, write README and manifest, and admin metadata last."""
        found = {blob.name: blob.metadata for blob in self._azure.listing(uuid)}
        wanted = {
            identifier: item_metadata(entry["relpath"])
            for identifier, entry in freezing.manifest["items"].items()
        }
        wrong = [(name, right) for name, right in wanted.items() if found.get(name) != right]
        check()
        each(lambda item: self._azure.set_metadata(uuid, *item), wrong)
        if freezing.readme is not None or BLOBS["readme"] not in found:
            check()
            self._put(uuid, BLOBS["readme"], freezing.readme or "")
        # dtool's own formatting of a manifest.
        manifest = json.dumps(freezing.manifest, indent=2, sort_keys=True)
        check()
        self._put(uuid, BLOBS["manifest"], manifest)
        check()
        self._put(uuid, BLOBS["admin_metadata"], json.dumps(freezing.admin_metadata))
        check()
        self._azure.set_container_metadata(uuid, container_metadata(freezing.admin_metadata))

    def readme(self, uuid: str) -> str:
        """Return the README that the dataset has."""
        return (self._azure.get(uuid, BLOBS["readme"]) or b"").decode()

    def tidy(self, uuid: str, temporary: Sequence[str] | None = None) -> None:
        """Delete the container of staged documents and the claim; a late PUT finds no other."""
        self._azure.delete_container(upload_container(uuid))

    def kind(self, uuid: str) -> str | None:
        """Return the type that the container's metadata has, as dtool-azure reads it."""
        return (self._azure.container_metadata(uuid) or {}).get("type")

    def size(self, uuid: str) -> Freed:
        """List what is there, one request per 5,000 blobs of dataset and upload."""
        blobs = chain(self._azure.listing(uuid), self._azure.listing(upload_container(uuid)))
        sizes = [blob.stored.size_in_bytes for blob in blobs]
        return Freed(len(sizes), sum(sizes))

    def discard(self, uuid: str) -> Freed:
        """Delete a proto-dataset's container, then the one beside it, with the claim."""
        if self.kind(uuid) == "dataset":
            raise UploadFrozen(f"Dataset {uuid} is frozen; it is not an upload to discard.")
        freed = self.size(uuid)
        self._azure.delete_container(uuid)
        self.tidy(uuid)
        return freed

    # Helpers -------------------------------------------------------------------------------

    def _occupy(self, opening: Opening, check: Callable[[], None]) -> None:
        """Leave the claim, unless the place holds what is frozen, or what has another claim."""
        uuid = opening.uuid
        metadata = self._azure.container_metadata(uuid)
        if metadata is None:
            check()
            self._azure.create_container(upload_container(uuid))
            # Of two claims at once the store takes one.
            self._create(upload_container(uuid), CLAIM, json.dumps(opening.claim))
        frozen = metadata is not None and metadata.get("type") == "dataset"
        if frozen or self._claim(uuid) != opening.claim:
            raise StorageOccupied(
                f"Storage already holds another {'dataset' if frozen else 'proto-dataset'} "
                f"{uuid}; use a new UUID."
            )

    def _claim(self, uuid: str) -> object:
        claim = self._azure.get(upload_container(uuid), CLAIM)
        try:
            return None if claim is None else json.loads(claim)
        except (ValueError, RecursionError):
            return None

    def _create(self, container: str, blob: str, text: str) -> None:
        self._azure.create(container, blob, text, DOCUMENT_METADATA)

    def _put(self, container: str, blob: str, text: str) -> None:
        self._azure.put(container, blob, text, DOCUMENT_METADATA)

    def _names(self, uuid: str, kind: str) -> list[str]:
        """Return the names of overlays, annotations or tags."""
        prefix = f"{kind}/"
        return [blob.name.removeprefix(prefix) for blob in self._azure.listing(uuid, prefix)]
