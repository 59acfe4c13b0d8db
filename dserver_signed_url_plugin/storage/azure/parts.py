"""Items in parts on one account: blocks of a blob beside the dataset, which is then copied."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import uuid4

from dserver_signed_url_plugin.errors import AssemblyPending, SignedURLError
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.layout import (
    block_url,
    item_metadata,
    part_blob,
    part_blob_url,
    part_block,
    part_numbers,
    part_upload,
    upload_container,
    uuid_of_upload,
)
from dserver_signed_url_plugin.storage.azure.sas import WRITE
from dserver_signed_url_plugin.storage.azure.values import PENDING, ListedBlob
from dserver_signed_url_plugin.storage.md5 import content_md5
from dserver_signed_url_plugin.storage.parts import PartLimits, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import DatasetFailed, raise_failure
from dserver_signed_url_plugin.storage.values import Item, Life, SignedRequest, StoredItem

# Between two looks at a copy that takes long, in seconds.
_PAUSES = (0.1, 0.2, 0.5, 1, 2, 4)


class AzureParts:
    """Keeps parts as blocks, and assembles them.

    The URL of a part may write anything to its blob, also after the blocks have been committed,
    but to no other. So an item is made by a copy of exactly the version that was committed, which
    the store begins only where there is no item yet.

    Source of the limits: Microsoft, "Scalability targets for Blob Storage"; a block of 4,000 MiB
    takes version 2019-12-12 of the interface. The store discards blocks a week after the last one.
    """

    limits = PartLimits(
        max_item_bytes=50_000 * 4000 * 1024**2,
        min_part_bytes=1,
        max_part_bytes=4000 * 1024**2,
        max_parts=50_000,
        hashes_parts=False,
    )

    def __init__(self, azure: AzureConnection) -> None:
        self._azure = azure

    def begin(self, uuid: str, item: Item) -> PartUpload:
        """Write an empty blob, by which the store knows the upload before its first part."""
        upload = PartUpload(uuid, item.identifier, uuid4().hex)
        self._azure.create(upload_container(uuid), part_blob(upload), "", {})
        return upload

    def part_urls(
        self, upload: PartUpload, hashes: Mapping[int, str | None], life: Life
    ) -> Mapping[int, SignedRequest]:
        """Sign a PUT for each part: all of one blob have the same signature."""
        signer = self._azure.signer(life.ends)
        url = signer.sign(WRITE, upload_container(upload.uuid), part_blob(upload))
        return {
            number: SignedRequest(
                block_url(url, part_block(number)),
                {} if md5 is None else content_md5(md5),
            )
            for number, md5 in hashes.items()
        }

    def stored_parts(self, upload: PartUpload) -> Mapping[int, StoredPart] | None:
        """List the parts, with one request; None if the store does not know the upload."""
        sizes = self._sizes(upload)
        if sizes is None:
            return None
        return {number: StoredPart(size) for number, size in sorted(sizes.items())}

    def assembled_md5(self, item: Item, parts: Mapping[int, StoredPart]) -> str | None:
        """Return the announced MD5, which the blob is given: the store does not compute it."""
        return item.hash

    def assemble(
        self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]
    ) -> StoredItem | None:
        """Commit the blocks and copy the blob; None if one has changed since it was listed.

        :raises AssemblyPending: if the copy takes longer; it goes on, and so does the next call.
        """
        there = self._find(upload.uuid, upload.identifier)
        if there is None or not (there.is_assembled or there.assembly == PENDING):
            if there is not None:
                self._azure.delete(upload.uuid, there)
            self._copy(upload, item, parts)
        there = self._copied(upload)
        if there is None:
            return None
        if there.stored.fits(item):
            self.abort(upload)
        return there.stored

    def describe(
        self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]
    ) -> str | None:
        """Do nothing: the blob has been given its MD5 when it was assembled."""
        return self.assembled_md5(item, parts)

    def abort(self, upload: PartUpload) -> None:
        """Delete the blob with its blocks; nothing if there is none."""
        container = upload_container(upload.uuid)
        blob = self._find(container, part_blob(upload))
        if blob is not None:
            self._azure.delete(container, blob)

    def incomplete(
        self, before: datetime, failed: DatasetFailed = raise_failure
    ) -> Iterator[PartUpload]:
        """List the parts of items that were begun before (UTC), in all containers of uploads."""
        for container in self._azure.containers():
            uuid = uuid_of_upload(container.name)
            try:
                blobs = [] if uuid is None else list(self._azure.listing(container.name))
            except SignedURLError as error:
                failed(str(uuid), error)
                continue
            for blob in blobs:
                found = part_upload(str(uuid), blob.name)
                if found is not None and blob.stored.last_modified < before:
                    yield found

    def _sizes(self, upload: PartUpload) -> dict[int, int] | None:
        blocks = self._azure.blocks(upload_container(upload.uuid), part_blob(upload))
        return None if blocks is None else part_numbers(blocks)

    def _copy(self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]) -> None:
        """Commit the blocks and begin to copy the blob, unless it is not as it was listed."""
        container, name = upload_container(upload.uuid), part_blob(upload)
        blob = self._find(container, name)
        # An emulator lets clients copy blobs that they cannot read.
        if blob is None or blob.is_copy:
            return
        etag = self._azure.assemble(
            container,
            blob,
            [part_block(number) for number in sorted(parts)],
            item_metadata(item.relpath),
            item.hash,
        )
        sizes = {number: part.size_in_bytes for number, part in parts.items()}
        if etag is not None and self._sizes(upload) == sizes:
            source = f"{part_blob_url(self._azure.inside, upload.uuid)}/{name.partition('/')[2]}"
            self._azure.copy(upload.uuid, upload.identifier, source, etag)

    def _copied(self, upload: PartUpload) -> ListedBlob | None:
        """Return what is at the item's real key when it is not being copied any more."""
        for pause in _PAUSES:
            blob = self._find(upload.uuid, upload.identifier)
            if blob is None or blob.assembly != PENDING:
                return blob if blob is not None and blob.is_assembled else None
            call = deadline.current()
            if call is not None and call.left() <= pause:
                break
            time.sleep(pause)
        raise AssemblyPending(
            "The store", f"is still assembling the item {upload.identifier} of {upload.uuid}"
        )

    def _find(self, container: str, name: str) -> ListedBlob | None:
        found = self._azure.listing(container, name)
        return next((blob for blob in found if blob.name == name), None)
