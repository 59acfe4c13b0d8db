"""Keeping proto-datasets in one account until they are frozen; signing URLs to write to them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence, Set

from dserver_signed_url_plugin.errors import StorageUnavailable, UploadBusy
from dserver_signed_url_plugin.storage import claims, deadline
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.layout import (
    BLOBS,
    BLOCK,
    CLAIM,
    DOCUMENT_METADATA,
    block_url,
    container_metadata,
    created_texts,
    frozen_texts,
    is_item,
    item_headers,
    item_metadata,
    staged_document,
    upload_container,
)
from dserver_signed_url_plugin.storage.azure.sas import CREATE, WRITE
from dserver_signed_url_plugin.storage.azure.values import PENDING, ListedBlob
from dserver_signed_url_plugin.storage.manifest import FrozenDataset
from dserver_signed_url_plugin.storage.md5 import md5_of
from dserver_signed_url_plugin.storage.parallel import each, each_within
from dserver_signed_url_plugin.storage.protocols import CheckLease, ItemDone, ignore_item_done
from dserver_signed_url_plugin.storage.values import (
    DOCUMENTS,
    Contents,
    Item,
    Life,
    Limits,
    ProtoDataset,
    SignedRequest,
    SignedRequests,
    StoredItem,
    WriteURLs,
)


class AzureUploads:
    """Keeps proto-datasets until they are frozen.

    An item's URL creates a blob at its real key and replaces none: when an item has been verified,
    its blob exists, and the URL cannot write it any more. So only documents are staged. This holds
    with two exceptions. A store may check for the blob before it reads the body; then a client that
    leaves out the returned headers can replace it by a PUT that began before, which the doctor
    tests. And the URL may take snapshots, which hold the same bytes, where no reader looks.

    Source of the limits: Microsoft, "Put Blob" (5,000 MiB in one PUT), "Scalability targets for
    Blob Storage" (8 KiB of metadata, in which a byte of a relpath may take three) and "Naming and
    referencing containers" (no name ends in a dot). Metadata is ASCII.
    """

    limits = Limits(
        max_item_bytes=5000 * 1024**2,
        max_relpath_bytes=2500,
        ascii_creators=True,
        tags_may_end_in_dot=False,
    )

    def __init__(self, azure: AzureConnection) -> None:
        self._azure = azure

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds."""
        return self._azure.life(seconds)

    def create(self, proto_dataset: ProtoDataset, check_lease: CheckLease) -> None:
        """Write the claim, then what `dtool create` would write, then tags and the like."""
        self._occupy(proto_dataset, check_lease)
        check_lease()
        # It replaces nothing: a request that was paused must not turn a dataset back.
        uuid, admin_metadata = proto_dataset.uuid, proto_dataset.admin_metadata
        self._azure.create_container(uuid, container_metadata(admin_metadata))
        check_lease()
        each(lambda text: self._create(uuid, *text), list(created_texts(proto_dataset)))
        check_lease()
        self._create(uuid, BLOBS["admin_metadata"], json.dumps(admin_metadata))
        self._require_created(proto_dataset)

    def write_urls(
        self, uuid: str, staging: str, items: Collection[Item], life: Life, *, pinned: bool
    ) -> WriteURLs:
        """Sign PUTs: items are created with their headers, documents need none.

        A SAS never holds headers, so what is pinned is that a URL creates one item, once.
        """
        signer = self._azure.signer(life.ends)
        staged = upload_container(uuid)

        def request(item: Item) -> SignedRequest:
            return SignedRequest(signer.sign(CREATE, uuid, item.identifier), item_headers(item))

        return WriteURLs(
            documents={
                name: block_url(signer.sign(WRITE, staged, staged_document(staging, name)))
                for name in DOCUMENTS
            },
            items=SignedRequests.of(items, request),
            pinned=pinned and all(item.hash is not None for item in items),
        )

    def write_empty_items(self, uuid: str, items: Sequence[Item], seconds: float) -> Set[str]:
        """Create items without bytes; what is there already is left to delete_outdated_items()."""

        def write(item: Item) -> bool:
            metadata = item_metadata(item.relpath)
            is_written = self._azure.create(uuid, item.identifier, "", metadata)
            deadline.progress()
            return is_written

        return {item.identifier for item in each_within(seconds, write, items)}

    def delete_outdated_items(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete what differs from its announcement, after a listing: no PUT can replace it."""
        announced = {item.identifier: item for item in items}
        wrong = [
            blob
            for blob in self._azure.listing(uuid)
            if blob.name in announced
            and blob.assembly != PENDING
            and not blob.stored.fits(announced[blob.name])
        ]
        if not wrong:
            return
        each(lambda blob: self._azure.delete(uuid, blob), wrong)
        left = {(blob.name, blob.etag) for blob in self._azure.listing(uuid)}
        if left & {(blob.name, blob.etag) for blob in wrong}:
            raise StorageUnavailable(
                "The store",
                f"still holds items of {uuid} that it said it had deleted",
                StorageUnavailable.PAUSE,
            )

    def contents(self, uuid: str, staging: str) -> Contents:
        """List the dataset's blobs, one request per 5,000.

        Nothing is listed as temporary: delete_temporary() deletes a whole container.
        """
        found = Contents()
        for blob in self._azure.listing(uuid):
            if blob.is_folder:
                continue
            found.objects += 1
            if is_item(blob.name) and blob.is_assembled:
                found.final[blob.name] = blob.stored
            elif is_item(blob.name) and blob.assembly != PENDING:
                found.unassembled.add(blob.name)
            elif blob.name == BLOBS["admin_metadata"]:
                found.opened = True
            elif blob.name == BLOBS["manifest"]:
                found.has_manifest = True
        return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None if there is none."""
        container, blob = upload_container(uuid), staged_document(staging, document)
        if self._azure.commit(container, blob, BLOCK) is None:
            return None
        return self._azure.get(container, blob, limit)

    def freeze(
        self,
        uuid: str,
        frozen: FrozenDataset,
        check_lease: CheckLease,
        item_done: ItemDone = ignore_item_done,
    ) -> None:
        """Correct items' metadata, write README and manifest, and admin metadata last."""
        found, wrong = self._wrong(uuid, frozen)
        check_lease()

        def correct(item: tuple[str, Mapping[str, str]]) -> None:
            self._azure.set_metadata(uuid, *item)
            deadline.progress()
            item_done()

        each(correct, wrong)
        for name, text in frozen_texts(frozen):
            check_lease()
            self._write(uuid, name, text, found.get(name))
        check_lease()
        self._azure.set_container_metadata(uuid, container_metadata(frozen.admin_metadata))
        if not self.is_frozen(uuid, frozen):
            # Perhaps because another request has taken over.
            check_lease()
            raise self._not_kept(uuid)

    def is_frozen(self, uuid: str, frozen: FrozenDataset) -> bool:
        """Compare what a listing shows, and the container's metadata."""
        found, wrong = self._wrong(uuid, frozen)
        unlisted = [
            (name, text)
            for name, text in frozen_texts(frozen)
            if name not in found or found[name].stored.md5 != md5_of(text.encode())
        ]
        are_there = all(each(lambda text: self._azure.holds(uuid, *text), unlisted))
        return not wrong and are_there and self.dataset_type(uuid) == "dataset"

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README of the dataset, cut after limit + 1 bytes, or None."""
        return self._azure.get(uuid, BLOBS["readme"], limit)

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete the container of staged documents and the claim; later PUTs are refused."""
        self._azure.delete_container(upload_container(uuid))

    def has_admin_metadata(self, uuid: str) -> bool:
        """Look for the blob: a container stays when its blobs are deleted."""
        return self._azure.find(uuid, BLOBS["admin_metadata"]) is not None

    def dataset_type(self, uuid: str) -> str | None:
        """Return the type in the container's metadata."""
        return self._azure.dataset_type(uuid, self._azure.container(uuid))

    def _occupy(self, proto_dataset: ProtoDataset, check_lease: CheckLease) -> None:
        """Write the claim, unless another dataset has the UUID."""
        uuid, claim = proto_dataset.uuid, proto_dataset.claim
        beside = upload_container(uuid)
        found = self._azure.container(uuid)
        if found is None or claim.was_written:
            check_lease()
            self._azure.create_container(beside)
            # Of two claims at once the store takes one.
            self._create(beside, CLAIM, claims.to_json(claim))
        # A container keeps its metadata when its blobs are gone; here it is never written again.
        dataset_type = None if claim.was_written else self._azure.dataset_type(uuid, found)
        claims.refuse_occupied(proto_dataset, dataset_type, self._azure.get(beside, CLAIM))

    def _wrong(
        self, uuid: str, frozen: FrozenDataset
    ) -> tuple[dict[str, ListedBlob], list[tuple[str, Mapping[str, str]]]]:
        """Return the blobs by name; and (name, right metadata) of items with wrong metadata."""
        found = {blob.name: blob for blob in self._azure.listing(uuid)}
        wanted = {
            identifier: item_metadata(item.relpath)
            for identifier, item in frozen.manifest.items.items()
        }
        there = {name: blob.metadata for name, blob in found.items()}
        return found, [(name, right) for name, right in wanted.items() if there.get(name) != right]

    def _require_created(self, proto_dataset: ProtoDataset) -> None:
        """Verify that what was written is there; another request of this upload wrote the same."""
        there = {blob.name for blob in self._azure.listing(proto_dataset.uuid)}
        wanted = {BLOBS["admin_metadata"], *(name for name, _ in created_texts(proto_dataset))}
        if not wanted <= there or self.dataset_type(proto_dataset.uuid) is None:
            raise self._not_kept(proto_dataset.uuid)

    def _not_kept(self, uuid: str) -> StorageUnavailable:
        return StorageUnavailable(
            "The store",
            f"has not kept what was written of {uuid}, although it said so",
            StorageUnavailable.PAUSE,
        )

    def _create(self, container: str, blob: str, text: str) -> None:
        """Write a document, unless there is one already."""
        self._azure.create(container, blob, text, DOCUMENT_METADATA)

    def _write(self, uuid: str, name: str, text: str, found: ListedBlob | None) -> None:
        """Write a document, unless another request has written it since it was listed.

        :raises UploadBusy: if another request has.
        """
        if found is None:
            written = self._azure.create(uuid, name, text, DOCUMENT_METADATA)
        else:
            written = self._azure.replace(uuid, found, text, DOCUMENT_METADATA)
        # After a write whose answer was lost, the retry finds the document written.
        if not written and self._azure.get(uuid, name) != text.encode():
            raise UploadBusy(uuid)
