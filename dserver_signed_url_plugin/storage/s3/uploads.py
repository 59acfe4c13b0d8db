"""Keeping proto-datasets in one bucket until they are frozen; signing URLs to write to them.

At most one request per 1,000 items, promotion aside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import claims, deadline
from dserver_signed_url_plugin.storage.manifest import FrozenDataset
from dserver_signed_url_plugin.storage.md5 import md5_of
from dserver_signed_url_plugin.storage.parallel import Pace, each, each_within
from dserver_signed_url_plugin.storage.protocols import CheckLease, ItemDone, ignore_item_done
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import (
    Layout,
    is_folder,
    item_metadata,
    pinned_headers,
)
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.values import (
    DOCUMENTS,
    EMPTY_MD5,
    Contents,
    Item,
    Life,
    Limits,
    Promotion,
    ProtoDataset,
    SignedRequest,
    SignedRequests,
    StoredItem,
    WriteURLs,
)

# Bytes that any store copies in a second: a large item may take longer than a call.
_COPIED_PER_SECOND = 16 * 1024**2


class S3Uploads:
    """Keeps proto-datasets until they are frozen.

    Source of the limits: AWS, "PutObject" (5 GiB in one PUT; 2 KB of user metadata, of which
    dtool's ``handle`` may fill 2,000 bytes as base64). Admin metadata is user metadata, too.

    :param stages_all: whether items are written to staging even if they could be pinned.
    """

    limits = Limits(max_item_bytes=5 * 1024**3, max_relpath_bytes=1500, ascii_creators=True)

    def __init__(self, s3: S3Connection, prefixes: DatasetPrefixes, *, stages_all: bool) -> None:
        self._s3, self._prefixes, self._stages_all = s3, prefixes, stages_all

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds, never past the credentials' end."""
        return self._s3.life(seconds, writing=True)

    def create(self, proto_dataset: ProtoDataset, check_lease: CheckLease) -> None:
        """Write the claim, then what `dtool create` would write, then tags and the like."""
        layout = self._unclaimed(proto_dataset)
        check_lease()
        claim = claims.to_json(proto_dataset.claim)
        self._s3.put(layout.claim, claim)
        # Without a claim, the other objects would belong to no upload.
        if not self._s3.holds(layout.claim, claim):
            raise self._not_kept(proto_dataset.uuid)
        check_lease()
        texts = dict(layout.created_texts(proto_dataset))
        each(lambda text: self._s3.put(*text), list(texts.items()))
        check_lease()
        # It replaces nothing: a request that was paused must not turn a dataset back.
        self._s3.create(*layout.admin_metadata(proto_dataset.admin_metadata))
        self._require_created(layout, texts)
        self._prefixes.remember(layout)

    def write_urls(
        self, uuid: str, staging: str, items: Collection[Item], life: Life, *, pinned: bool
    ) -> WriteURLs:
        """Sign PUTs; a pinned one holds Content-MD5 and dtool's object metadata."""
        layout = self._prefixes.of(uuid)
        signer = self._s3.signer(life, writing=True)
        staged = layout.staged_items(staging)
        may_pin = pinned and not self._stages_all

        def request(item: Item) -> SignedRequest:
            if may_pin and item.hash is not None:
                headers = pinned_headers(item)
                return SignedRequest(
                    signer.sign("PUT", layout.item(item.identifier), headers), headers
                )
            return SignedRequest(signer.sign("PUT", staged + item.identifier))

        return WriteURLs(
            documents={
                name: signer.sign("PUT", layout.staged_document(staging, name))
                for name in DOCUMENTS
            },
            items=SignedRequests.of(items, request),
            pinned=may_pin and all(item.hash is not None for item in items),
        )

    def write_empty_items(self, uuid: str, items: Sequence[Item], seconds: float) -> Set[str]:
        """Write items without bytes, as a pinned PUT does, but replace nothing."""
        layout = self._prefixes.of(uuid)

        def write(item: Item) -> bool:
            metadata = item_metadata(item.relpath, EMPTY_MD5)
            key = layout.item(item.identifier)
            is_written = self._s3.create(key, "", metadata) or self._s3.is_empty(key)
            deadline.progress()
            return is_written

        return {item.identifier for item in each_within(seconds, write, items)}

    def contents(self, uuid: str, staging: str) -> Contents:
        """List the dataset's keys, one request per 1,000."""
        layout = self._prefixes.of(uuid)
        found = Contents()
        items, staged, uploads = layout.items, layout.staged_items(staging), layout.uploads
        for key, stored in self._s3.listing(layout.root):
            if key.startswith(uploads):
                found.temporary[key] = stored
            if is_folder(key, stored):
                continue
            found.objects += 1
            if key.startswith(items):
                found.final[key.removeprefix(items)] = stored
            elif key.startswith(staged):
                found.staged[key.removeprefix(staged)] = stored
            elif key == layout.document("admin_metadata"):
                found.opened = True
            elif key == layout.document("manifest"):
                found.has_manifest = True
        return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None if there is none."""
        return self._s3.get(self._prefixes.of(uuid).staged_document(staging, document), limit)

    def promote(
        self,
        uuid: str,
        staging: str,
        promotions: Sequence[Promotion],
        item_done: ItemDone = ignore_item_done,
    ) -> dict[str, StoredItem]:
        """Copy, as many at a time as the store takes, what still is as verified; then list."""
        layout, pace = self._prefixes.of(uuid), Pace()
        staged = layout.staged_items(staging)
        with self._s3.copies(pace) as copy:

            def promoted(promotion: Promotion) -> None:
                item, stored = promotion.item, promotion.stored
                metadata = item_metadata(item.relpath, stored.md5)
                deadline.allow(stored.size_in_bytes / _COPIED_PER_SECOND)
                source, target = staged + item.identifier, layout.item(item.identifier)
                copy(source, stored.md5, target, metadata)
                deadline.progress()
                item_done()

            each(promoted, promotions, pace)
        # Some stores ignore the condition of a copy, so what counts is what is there now.
        return {
            key.removeprefix(layout.items): stored for key, stored in self._s3.listing(layout.items)
        }

    def freeze(
        self,
        uuid: str,
        frozen: FrozenDataset,
        check_lease: CheckLease,
        item_done: ItemDone = ignore_item_done,
    ) -> None:
        """Write README, manifest, and admin metadata last; then verify that they are there."""
        texts = list(self._prefixes.of(uuid).frozen_texts(frozen))
        for text in texts:
            check_lease()
            self._s3.put(*text)
        if not self._hold(texts):
            # Perhaps because another request has taken over.
            check_lease()
            raise self._not_kept(uuid)

    def is_frozen(self, uuid: str, frozen: FrozenDataset) -> bool:
        """Compare each object, by one HEAD; by its bytes where its ETag is not an MD5."""
        return self._hold(list(self._prefixes.of(uuid).frozen_texts(frozen)))

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README of the dataset, cut after limit + 1 bytes, or None."""
        return self._s3.get(self._prefixes.of(uuid).document("readme"), limit)

    def dataset_type(self, uuid: str) -> str | None:
        """Return the type in the user metadata of an object, or in its text if that was lost."""
        return self._prefixes.find(uuid).dataset_type

    def has_admin_metadata(self, uuid: str) -> bool:
        """Look for the object."""
        return self._s3.find(self._prefixes.of(uuid).document("admin_metadata")) is not None

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete what was staged, and the claim; listed first unless the keys are known."""
        uploads = self._prefixes.of(uuid).uploads
        # What arrives later, through a URL that still works, does not count as left.
        self._s3.deletions.below(
            uploads, dict(self._s3.listing(uploads)) if temporary is None else temporary
        )

    def _unclaimed(self, proto_dataset: ProtoDataset) -> Layout:
        """Return the keys of a proto-dataset, unless another dataset has them."""
        found = self._prefixes.find(proto_dataset.uuid)
        if found.is_taken:
            claim = self._s3.get(found.layout.claim)
            claims.refuse_occupied(proto_dataset, found.dataset_type, claim)
        return found.layout

    def _require_created(self, layout: Layout, texts: Mapping[str, str]) -> None:
        """Verify what was written, by a listing, and by HEAD what that does not show."""
        stored = dict(self._s3.listing(layout.root))
        unlisted = [
            (key, text)
            for key, text in texts.items()
            if key not in stored or stored[key].md5 != md5_of(text.encode())
        ]
        is_there = layout.document("admin_metadata") in stored
        if not (is_there and all(each(lambda text: self._s3.holds(*text), unlisted))):
            raise self._not_kept(layout.uuid)

    def _hold(self, texts: Sequence[tuple[str, str, Mapping[str, str]]]) -> bool:
        """Return whether each object (key, text, user metadata) is there as it was written."""
        return all(each(lambda text: self._s3.holds(*text), texts))

    def _not_kept(self, uuid: str) -> StorageUnavailable:
        return StorageUnavailable(
            f"The store of {self._s3.bucket}",
            f"has not kept what was written of {uuid}, although it said so",
            StorageUnavailable.PAUSE,
        )
