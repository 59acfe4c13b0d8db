"""What Azure does for this plugin: sign URLs, and keep proto-datasets until they are frozen.

Knows which requests each step costs, and speaks to Azure through AzureConnection alone. Never sees
a person, a permission or the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain

from dserver_signed_url_plugin.config import LONGEST_LIFE, Settings
from dserver_signed_url_plugin.errors import (
    ItemArchived,
    ItemBeingRestored,
    ItemNotFound,
    StorageUnavailable,
    UploadBusy,
    UploadFrozen,
)
from dserver_signed_url_plugin.filenames import Disposition, served_as
from dserver_signed_url_plugin.storage import claims, deadline
from dserver_signed_url_plugin.storage.azure.connection import (
    RESTORE,
    AzureConnection,
    FoundContainer,
    md5_of,
)
from dserver_signed_url_plugin.storage.azure.layout import (
    BLOBS,
    BLOCK,
    CLAIM,
    DOCUMENT_METADATA,
    block_url,
    container_metadata,
    frozen_texts,
    is_item,
    item_headers,
    item_metadata,
    opening_texts,
    relpath_beside,
    staged_document,
    upload_container,
)
from dserver_signed_url_plugin.storage.azure.listing import ListedBlob
from dserver_signed_url_plugin.storage.azure.sas import CREATE, READ, WRITE
from dserver_signed_url_plugin.storage.documents import kind_in
from dserver_signed_url_plugin.storage.manifest import Manifest, relpath_in
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.read_urls import KINDS, Signing, read_urls
from dserver_signed_url_plugin.storage.values import (
    DOCUMENTS,
    Claim,
    Contents,
    Freed,
    FrozenDataset,
    Item,
    Life,
    Promotion,
    ProtoDataset,
    ReadURLs,
    SignedRequest,
    StoredItem,
    WriteURLs,
)
from dserver_signed_url_plugin.uris import BaseURI


class AzureStorage:
    """The datasets of one storage account.

    An item's URL creates a blob at its place and replaces none: what it may write is there already
    once the item was verified. So nothing is staged but documents. Two things hold less far. A
    store may look whether there is a blob before it reads the body; then whoever leaves out the
    returned headers can replace one by a PUT begun before, which the doctor tries. And the URL may
    take snapshots, which hold the same bytes, where no reader looks.

    Source of the limits: Microsoft, "Put Blob" (5,000 MiB in one PUT) and "Scalability targets for
    Blob Storage" (8 KiB of metadata, in which a byte of a relpath may take three).
    """

    max_relpath_bytes = 2500
    max_item_bytes = 5000 * 1024**2
    signed_by = "this plugin, for Azure"
    stages_all = False
    lists_objects = True

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._azure = AzureConnection(base_uri.location, settings)

    def life(self, seconds: int, writing: bool = False) -> Life:
        """Return the life of URLs signed now, in whole seconds; an account key has no end."""
        return Life.from_now(seconds, LONGEST_LIFE)

    # Reading -------------------------------------------------------------------------------

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        manifest = Manifest.read(self._azure.get(uuid, BLOBS["manifest"]), uuid)
        listed = each(lambda kind: self._names(uuid, kind), KINDS)
        signer = self._azure.signer(life.ends)

        def item(identifier: str, relpath: str) -> str:
            return signer.sign(READ, uuid, identifier, served_as(relpath, disposition))

        signing = Signing(
            document=lambda name: signer.sign(READ, uuid, BLOBS[name]),
            item=item,
            description=lambda kind, name: signer.sign(READ, uuid, f"{kind}/{name}"),
        )
        return read_urls(manifest, listed, signing)

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Sign a GET for one item, after one HEAD, which tells its name too.

        Where its metadata was lost, the manifest is asked for the name.
        """
        found = self._azure.find(uuid, identifier)
        if found is None:
            raise ItemNotFound(identifier)
        if found.is_archived:
            what = f"Item {identifier}"
            is_returning = found.is_being_restored
            raise ItemBeingRestored(what) if is_returning else ItemArchived(what, RESTORE)
        relpath = relpath_beside(identifier, found.metadata)
        if relpath is None:
            relpath = relpath_in(self._azure.get(uuid, BLOBS["manifest"]), identifier)
        served = served_as(relpath, disposition)
        return self._azure.signer(life.ends).sign(READ, uuid, identifier, served)

    # Uploading -----------------------------------------------------------------------------

    def check_creator(self, username: str) -> str | None:
        """Azure keeps admin metadata in a container's metadata, which is ASCII."""
        if username.isascii():
            return None
        return "must be ASCII here; send another creator_username."

    def check_tag(self, tag: str) -> str | None:
        """Azure keeps a tag as a blob of this name; source: "Naming and referencing containers"."""
        return "ends in a dot, which no name in Azure may." if tag.endswith(".") else None

    def open(self, opening: ProtoDataset, check: Callable[[], None]) -> None:
        """Write the claim, then what `dtool create` would write, then tags and the like."""
        self._occupy(opening, check)
        check()
        # Only ever made, container and blobs: a request that slept must not turn a dataset back.
        self._azure.create_container(opening.uuid, container_metadata(opening.admin_metadata))
        check()
        each(lambda text: self._create(opening.uuid, *text), list(opening_texts(opening)))
        check()
        self._create(opening.uuid, BLOBS["admin_metadata"], json.dumps(opening.admin_metadata))
        self._require_opened(opening)

    def write_urls(
        self, uuid: str, staging: str, items: Iterable[Item], pinned: bool, life: Life
    ) -> WriteURLs:
        """Sign PUTs: items are created with their headers, documents need none.

        ``pinned`` makes no difference: no SAS holds headers, and each creates one item.
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

    def delete_outdated_items(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete what is not as announced, after a listing: no PUT can write over it."""
        announced = {item.identifier: item for item in items}
        wrong = [
            blob
            for blob in self._azure.listing(uuid)
            if blob.name in announced and not blob.stored.fits(announced[blob.name])
        ]
        if not wrong:
            return
        each(lambda blob: self._azure.delete(uuid, blob), wrong)
        left = {(blob.name, blob.etag) for blob in self._azure.listing(uuid)}
        if left & {(blob.name, blob.etag) for blob in wrong}:
            raise StorageUnavailable(
                "The store", f"still holds items of {uuid} that it said it had deleted"
            )

    def holdings(self, uuid: str, staging: str) -> Contents:
        """List the dataset's blobs, one request per 5,000; tidy needs no names."""
        found = Contents()
        for blob in self._azure.listing(uuid):
            if blob.is_folder:
                continue
            found.objects += 1
            if is_item(blob.name):
                found.final[blob.name] = blob.stored
            elif blob.name == BLOBS["admin_metadata"]:
                found.opened = True
            elif blob.name == BLOBS["manifest"]:
                found.has_manifest = True
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

    def freeze(self, uuid: str, freezing: FrozenDataset, check: Callable[[], None]) -> None:
        """Correct items' metadata, write README and manifest, and admin metadata last."""
        found, wrong = self._wrong(uuid, freezing)
        check()
        each(lambda item: self._correct(uuid, *item), wrong)
        for name, text in frozen_texts(freezing):
            check()
            self._write(uuid, name, text, found.get(name))
        check()
        self._azure.set_container_metadata(uuid, container_metadata(freezing.admin_metadata))
        if not self.is_frozen(uuid, freezing):
            # Perhaps because somebody else has taken over.
            check()
            raise self._not_kept(uuid)

    def is_frozen(self, uuid: str, freezing: FrozenDataset) -> bool:
        """List the blobs once more, and ask for the container's metadata."""
        found, wrong = self._wrong(uuid, freezing)
        untold = [
            (name, text)
            for name, text in frozen_texts(freezing)
            if name not in found or found[name].stored.md5 != md5_of(text)
        ]
        are_there = all(each(lambda text: self._azure.holds(uuid, *text), untold))
        return not wrong and are_there and self.kind(uuid) == "dataset"

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README that the dataset has, cut after limit + 1 bytes, or None."""
        return self._azure.get(uuid, BLOBS["readme"], limit)

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete the container of staged documents and the claim; a late PUT finds no other."""
        self._azure.delete_container(upload_container(uuid))

    def has_admin_metadata(self, uuid: str) -> bool:
        """Look for the blob: a container stays when its blobs are deleted."""
        return self._azure.find(uuid, BLOBS["admin_metadata"]) is not None

    def kind(self, uuid: str) -> str | None:
        """Return the type that the container's metadata has."""
        return self._kind(uuid, self._azure.container(uuid))

    def size(self, uuid: str, claim: Claim) -> Freed:
        """List what is there, one request per 5,000 blobs of dataset and upload."""
        is_ours = self._may_go(uuid, claim, self._azure.container(uuid))
        return self._freed(uuid) if is_ours else Freed()

    def discard(self, uuid: str, claim: Claim, check: Callable[[], None]) -> Freed:
        """Delete a proto-dataset's container, then the one beside it, with the claim."""
        staged = upload_container(uuid)
        found, beside = each(self._azure.container, (uuid, staged))
        if self._kind(uuid, found) == "dataset":
            raise UploadFrozen(uuid)
        if not self._may_go(uuid, claim, found):
            return Freed()
        freed = self._freed(uuid)
        check()
        # The store tells times by the second; whoever takes over from here on waits longer than
        # that for the lease to end, before anything is frozen, or begun anew.
        if found is not None and not self._azure.delete_container(uuid, found.last_modified):
            raise UploadFrozen(uuid)
        check()
        if beside is not None:
            self._azure.delete_container(staged, beside.last_modified)
        return freed

    def elsewhere(self, uuids: Set[str]) -> Set[str]:
        """Return none: a dataset is in the container of its UUID, or nowhere."""
        return frozenset()

    def release_uuid(self, uuid: str) -> str:
        """Leave the container: blobs that the store keeps after deletion would go with it."""
        return "" if self._azure.container(uuid) is None else "its empty container"

    # Helpers -------------------------------------------------------------------------------

    def _occupy(self, opening: ProtoDataset, check: Callable[[], None]) -> None:
        """Leave the claim, unless the place holds what is frozen, or what has another claim."""
        beside = upload_container(opening.uuid)
        found = self._azure.container(opening.uuid)
        if found is None or opening.claim.was_left:
            check()
            self._azure.create_container(beside)
            # Of two claims at once the store takes one.
            self._create(beside, CLAIM, claims.written(opening))
        # A container tells what it was although its blobs are gone; here none is written over.
        kind = None if opening.claim.was_left else self._kind(opening.uuid, found)
        claims.refuse_occupied(opening, kind, self._azure.get(beside, CLAIM))

    def _kind(self, uuid: str, found: FoundContainer | None) -> str | None:
        """Return what the container's metadata say or, where they are lost, the blob beside."""
        if found is None:
            return None
        return found.kind or kind_in(self._azure.get(uuid, BLOBS["admin_metadata"]))

    def _may_go(self, uuid: str, claim: Claim, found: FoundContainer | None) -> bool:
        """Tell whether what was found is the upload's that has this claim, or nobody's."""
        kept = self._azure.get(upload_container(uuid), CLAIM)
        return claims.may_go(claim, kept, found is not None)

    def _freed(self, uuid: str) -> Freed:
        blobs = chain(self._azure.listing(uuid), self._azure.listing(upload_container(uuid)))
        sizes = [blob.stored.size_in_bytes for blob in blobs]
        return Freed(len(sizes), sum(sizes))

    def _correct(self, uuid: str, blob: str, metadata: Mapping[str, str]) -> None:
        """Write an item's metadata, which is one of many."""
        self._azure.set_metadata(uuid, blob, metadata)
        deadline.progress()

    def _wrong(
        self, uuid: str, freezing: FrozenDataset
    ) -> tuple[dict[str, ListedBlob], list[tuple[str, Mapping[str, str]]]]:
        """List the blobs by name; and (name, metadata) of the items whose metadata are others."""
        found = {blob.name: blob for blob in self._azure.listing(uuid)}
        wanted = {
            identifier: item_metadata(entry["relpath"])
            for identifier, entry in freezing.manifest["items"].items()
        }
        there = {name: blob.metadata for name, blob in found.items()}
        return found, [(name, right) for name, right in wanted.items() if there.get(name) != right]

    def _require_opened(self, opening: ProtoDataset) -> None:
        """Make sure that what was written is there; whoever was first wrote the same."""
        there = {blob.name for blob in self._azure.listing(opening.uuid)}
        wanted = {BLOBS["admin_metadata"], *(name for name, _ in opening_texts(opening))}
        if not wanted <= there or self.kind(opening.uuid) is None:
            raise self._not_kept(opening.uuid)

    def _not_kept(self, uuid: str) -> StorageUnavailable:
        return StorageUnavailable(
            "The store", f"has not kept what was written of {uuid}, although it said so"
        )

    def _create(self, container: str, blob: str, text: str) -> None:
        """Write a document that belongs to whoever is first."""
        self._azure.create(container, blob, text, DOCUMENT_METADATA)

    def _write(self, uuid: str, name: str, text: str, found: ListedBlob | None) -> None:
        """Write a document; of who found it the same way only one can.

        :raises UploadBusy: if it was somebody else.
        """
        if found is None:
            written = self._azure.create(uuid, name, text, DOCUMENT_METADATA)
        else:
            written = self._azure.replace(uuid, found, text, DOCUMENT_METADATA)
        # Of a write whose answer was lost the repetition says that somebody has written.
        if not written and self._azure.get(uuid, name) != text.encode():
            raise UploadBusy(uuid)

    def _names(self, uuid: str, kind: str) -> list[str]:
        """Return the names of overlays, annotations or tags."""
        prefix = f"{kind}/"
        found = self._azure.listing(uuid, prefix)
        return [blob.name.removeprefix(prefix) for blob in found if not blob.is_folder]
