"""What a storage can do, as protocols.

A storage serves one base URI. Knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Protocol

from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage.values import (
    Claim,
    Contents,
    Freed,
    FrozenDataset,
    Item,
    Life,
    Promotion,
    ProtoDataset,
    ReadURLs,
    StoredItem,
    WriteURLs,
)


class Storage(Protocol):
    """One base URI's storage. Every method may raise StorageUnavailable.

    ``signed_by`` says who makes its URLs. ``lists_objects`` tells whether holdings counts objects,
    so that none means that none is there, ``stages_all`` whether no URL leads to an item's real
    key, whatever the client sends.
    """

    max_relpath_bytes: int
    max_item_bytes: int
    lists_objects: bool
    signed_by: str
    stages_all: bool

    def life(self, seconds: int, writing: bool = False) -> Life:
        """Return the life that URLs signed now can be promised, at most ``seconds``.

        :param writing: of URLs to write, which may be signed with other credentials.
        """

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Sign GETs for all of a dataset; raise DatasetNotFound if storage does not hold it.

        :param disposition: how items are served: to be saved under their names, or to be shown.
        """

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Sign a GET for one item; raise ItemNotFound if storage does not hold it."""

    def check_creator(self, username: str) -> str | None:
        """Return why admin metadata cannot carry this creator here, or None."""

    def check_tag(self, tag: str) -> str | None:
        """Return why a dataset cannot have this tag here, or None."""

    def open(self, opening: ProtoDataset, check: Callable[[], None]) -> None:
        """Write the proto-dataset; safe to repeat until the first completion.

        :param check: called before what must not come late; raises if another has taken over.
        :raises StorageOccupied: before anything is written, if storage holds what is frozen or
            what has another claim.
        """

    def write_urls(
        self, uuid: str, staging: str, items: Iterable[Item], pinned: bool, life: Life
    ) -> WriteURLs:
        """Sign PUTs; pinned ones accept exactly the announced bytes at the item's real key.

        Where the storage stages all, none is pinned.
        """

    def delete_outdated_items(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete what is not as announced, where a new PUT could not write over it."""

    def holdings(self, uuid: str, staging: str) -> Contents:
        """Find what the store holds of the upload, or of the dataset that it became."""

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None where none was PUT."""

    def promote(
        self, uuid: str, staging: str, promotions: Sequence[Promotion]
    ) -> dict[str, StoredItem]:
        """Copy staged objects to their real keys; return what a listing then finds there."""

    def freeze(self, uuid: str, freezing: FrozenDataset, check: Callable[[], None]) -> None:
        """Write README, manifest, and admin metadata last, which makes it a dataset.

        :param check: called before each; raises if another has taken over.
        :raises StorageUnavailable: also if they are not there afterwards, whatever the store said.
        """

    def is_frozen(self, uuid: str, freezing: FrozenDataset) -> bool:
        """Tell whether all that freeze writes is there, as it was written."""

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README that the dataset has, cut after limit + 1 bytes, or None."""

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete what is temporary: what holdings found, or all that can be found now.

        :raises StorageUnavailable: also if it is there afterwards, whatever the store said.
        """

    def has_admin_metadata(self, uuid: str) -> bool:
        """Tell whether what opening writes last is there."""

    def kind(self, uuid: str) -> str | None:
        """Return dtool's type of what is there: dataset, protodataset, or None for neither."""

    def size(self, uuid: str, claim: Claim) -> Freed:
        """Return what discard would free."""

    def discard(self, uuid: str, claim: Claim, check: Callable[[], None]) -> Freed:
        """Delete all that storage holds of an upload; nothing, if it holds somebody else's.

        :param claim: by which the upload was opened.
        :param check: called right before what cannot be undone; raises if another has taken over.
        :raises UploadFrozen: if it is a dataset.
        :raises StorageUnavailable: also if it is there afterwards, whatever the store said.
        """

    def elsewhere(self, uuids: Set[str]) -> Set[str]:
        """Return those of which there may be objects where holdings does not look for them."""

    def release_uuid(self, uuid: str) -> str:
        """Free the UUID of a dataset that has no object any more, for another.

        :return: what stays and is in its way, in words; nothing if it is free.
        """
