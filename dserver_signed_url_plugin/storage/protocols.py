"""What a storage can do, as one protocol for each capability.

A storage serves one base URI. Knows no vendor. Every method of a protocol may raise
StorageUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage.dataset_cache import NOTHING_KNOWN, KnownDataset
from dserver_signed_url_plugin.storage.manifest import FrozenDataset
from dserver_signed_url_plugin.storage.parts import PartLimits, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.values import (
    Claim,
    Contents,
    Freed,
    Item,
    Life,
    Limits,
    Promotion,
    ProtoDataset,
    ReadURLs,
    SignedItems,
    SignedRequest,
    StoredItem,
    WriteURLs,
)

# Raises if another request has taken over the upload; called before what must not come late.
CheckLease = Callable[[], None]
# Called with the UUID of a dataset that could not be looked at, and why.
DatasetFailed = Callable[[str, SignedURLError], None]
# Called after each item, in any thread; raises to end the work on further items.
ItemDone = Callable[[], None]


def raise_failure(_uuid: str, error: SignedURLError) -> None:
    """Raise the error, as a DatasetFailed for which one failure ends all."""
    raise error


def ignore_item_done() -> None:
    """Do nothing: the default where nobody counts items."""


class ReadSigner(Protocol):
    """Signs URLs to read datasets, and reads the beginning of items itself."""

    def life(self, seconds: int) -> Life:
        """Return the life of URLs to read that are signed now, at most ``seconds``."""

    def read_urls(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> ReadURLs:
        """Sign GETs for all of a dataset.

        :param disposition: whether browsers save items under their names or show them.
        :param known: what is cached of the dataset, which is updated.
        :raises DatasetNotFound: if storage does not hold it.
        """

    def items(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> SignedItems:
        """Sign GETs for any of a dataset's items.

        :raises DatasetNotFound: if storage does not hold it.
        """

    def item_url(
        self,
        uuid: str,
        identifier: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> str:
        """Sign a GET for one item, without a request if it was seen within the last minute.

        :raises ItemNotFound: if storage does not hold it.
        """

    def beginning(self, uuid: str, identifier: str, limit: int) -> bytes | None:
        """Return the first limit + 1 bytes of an item, as they are stored.

        None if this storage can sign URLs to items, but cannot read them.

        :raises ItemNotFound: if storage does not hold it.
        :raises ItemArchived: if it is in an archive.
        """


class UploadStore(Protocol):
    """Keeps proto-datasets, signs URLs to write to them, and freezes them."""

    limits: Limits

    def life(self, seconds: int) -> Life:
        """Return the life of URLs to write that are signed now, at most ``seconds``.

        They may be signed with other credentials than URLs to read.
        """

    def create(self, proto_dataset: ProtoDataset, check_lease: CheckLease) -> None:
        """Write a proto-dataset; safe to repeat until the first completion.

        :raises StorageOccupied: before anything is written, if storage holds a frozen dataset or
            a proto-dataset with another claim.
        """

    def write_urls(
        self, uuid: str, staging: str, items: Collection[Item], life: Life, *, pinned: bool
    ) -> WriteURLs:
        """Sign PUTs; pinned ones accept exactly the announced bytes at the item's real key.

        Items may be signed when they are looked up, which makes no request and cannot fail.

        :param pinned: whether the client returns the headers of a pinned URL.
        """

    def write_empty_items(self, uuid: str, items: Sequence[Item], seconds: float) -> Set[str]:
        """Write items without bytes to their real keys, with their metadata; safe to repeat.

        Nothing is replaced, as far as the store has conditional writes: one that is written late
        must not change what has become another upload's item.

        :param seconds: after which no other one is begun.
        :return: the identifiers of those that are written.
        """

    def contents(self, uuid: str, staging: str) -> Contents:
        """List what the store holds of an upload, or of the dataset that it has become."""

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None if there is none."""

    def freeze(
        self,
        uuid: str,
        frozen: FrozenDataset,
        check_lease: CheckLease,
        item_done: ItemDone = ignore_item_done,
    ) -> None:
        """Write README, manifest, and admin metadata last, which makes it a dataset.

        :param item_done: called after each item that has to be changed first.
        :raises StorageUnavailable: also if they are not there afterwards.
        """

    def is_frozen(self, uuid: str, frozen: FrozenDataset) -> bool:
        """Tell whether all that freeze writes is there, as it was written."""

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README of the dataset, cut after limit + 1 bytes, or None."""

    def dataset_type(self, uuid: str) -> str | None:
        """Return dtool's type: ``dataset``, ``protodataset``, or None if there is neither."""

    def has_admin_metadata(self, uuid: str) -> bool:
        """Tell whether the object is there that create() writes last."""

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete what is temporary: what contents() listed, or else all that can be found now.

        :raises StorageUnavailable: also if it is still there afterwards.
        """


class StagedItems(Protocol):
    """Copies staged items to their real keys, for a store whose URLs write to staging first."""

    def promote(
        self,
        uuid: str,
        staging: str,
        promotions: Sequence[Promotion],
        item_done: ItemDone = ignore_item_done,
    ) -> Mapping[str, StoredItem]:
        """Copy staged objects; return the items that the store lists afterwards."""


class CreateOnlyItems(Protocol):
    """Deletes wrong items, for a store whose URLs create items but do not replace them."""

    def delete_outdated_items(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete those items that differ from what was announced."""


class PartStore(Protocol):
    """Keeps the parts of large items, and assembles them.

    Until an item is assembled there is no object at its real key, or none that these parts have
    made; afterwards the URLs of its parts can no longer change it.
    """

    limits: PartLimits

    def begin(self, uuid: str, item: Item) -> PartUpload:
        """Prepare the store for the parts of an item; one without a hash needs describe()."""

    def part_urls(
        self, upload: PartUpload, hashes: Mapping[int, str | None], life: Life
    ) -> Mapping[int, SignedRequest]:
        """Sign a PUT for each part, by number.

        :param hashes: MD5s (32 hex digits); a part whose MD5 is given is pinned by Content-MD5.
        """

    def stored_parts(self, upload: PartUpload) -> Mapping[int, StoredPart] | None:
        """List the parts, one request per 1,000; None if the store does not know the upload.

        It does not after abort() and after assemble().
        """

    def assembled_md5(self, item: Item, parts: Mapping[int, StoredPart]) -> str | None:
        """Return what StoredItem.md5 will be of the item made of these parts; None if unknown."""

    def assemble(
        self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]
    ) -> StoredItem | None:
        """Make the item of exactly these parts; None if one has changed since it was listed.

        Safe to repeat. What counts is what contents() lists afterwards.
        """

    def describe(
        self, upload: PartUpload, item: Item, parts: Mapping[int, StoredPart]
    ) -> str | None:
        """Keep the hash beside an item that was begun without one, and assembled of these parts.

        Return what StoredItem.md5 is then; None if unknown.
        """

    def abort(self, upload: PartUpload) -> None:
        """Delete the parts; nothing if there are none."""

    def incomplete(
        self, before: datetime, failed: DatasetFailed = raise_failure
    ) -> Iterable[PartUpload]:
        """List the parts of items that were begun before (UTC), wherever in the store.

        Left out are those of proto-datasets that somebody may be writing directly with dtool, and
        those of datasets that ``failed`` is called with.
        """


class UploadDiscards(Protocol):
    """Deletes proto-datasets, with the parts of their items."""

    def size(self, uuid: str, claim: Claim) -> Freed:
        """Return what discard() would free."""

    def discard(self, uuid: str, claim: Claim, check_lease: CheckLease) -> Freed:
        """Delete all that storage holds of an upload; nothing if it belongs to another one.

        :param claim: with which the upload was created.
        :raises UploadFrozen: if it is a dataset.
        :raises StorageUnavailable: also if it is still there afterwards.
        """


class Inventory(Protocol):
    """Finds out whether a dataset is gone, and deletes datasets."""

    def under_other_prefixes(self, uuids: Set[str]) -> Set[str]:
        """Return the UUIDs that may have objects where contents() does not list them."""

    def delete_registration(self, uuid: str) -> str:
        """Free the UUID of a dataset that has no object any more.

        :return: in words, what stays and keeps the UUID taken; empty if it is free.
        """

    def delete_dataset(self, uuid: str) -> Freed:
        """Delete all that storage holds of a dataset, also of a frozen one; safe to repeat.

        :return: what this call has deleted.
        :raises StorageUnavailable: also if it is still there afterwards.
        """


@dataclass(frozen=True)
class Storage:
    """The storage of one base URI, by capability; None for what it cannot do.

    ``signed_by`` says who makes its URLs.
    """

    reads: ReadSigner
    uploads: UploadStore
    staged_items: StagedItems | None = None
    create_only_items: CreateOnlyItems | None = None
    parts: PartStore | None = None
    discards: UploadDiscards | None = None
    inventory: Inventory | None = None
    signed_by: str = "this plugin"
