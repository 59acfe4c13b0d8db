"""What every storage can do, and the values that pass through its door.

Knows no vendor. A storage serves one base URI; datasets are named by UUID, items by identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from math import floor
from typing import Any, Protocol

from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.times import timestamp

DOCUMENTS = ("readme", "admin_metadata", "manifest", "structure")


class Refused(Exception):
    """The store answered, but not as hoped; ``code`` is its own word for why, if it has one."""

    def __init__(self, status: int, code: str | None) -> None:
        super().__init__(f"{status} {code or ''}".strip())
        self.status, self.code = status, code


@dataclass(frozen=True)
class SignedRequest:
    """A URL and the headers that must be sent with it, verbatim."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Life:
    """How long signed URLs live: from ``starts`` (UTC, whole seconds), ``seconds`` long.

    ``limited_by`` says what made it shorter than was asked for, such as ``credentials``.
    """

    starts: datetime
    seconds: int
    ends: datetime
    limited_by: str | None = None

    @classmethod
    def from_now(cls, seconds: int, most: int) -> Life:
        """Return a life that begins now; ``most`` is what the store keeps a signature for."""
        now = datetime.now(timezone.utc).replace(microsecond=0)
        granted = min(seconds, most)
        limited_by = "store" if granted < seconds else None
        return cls(now, granted, now + timedelta(seconds=granted), limited_by)

    def until(self, end: datetime, limited_by: str) -> Life:
        """Return it cut at a moment (UTC), in whole seconds; it may have none left."""
        if end >= self.ends:
            return self
        seconds = floor((end - self.starts).total_seconds())
        return Life(self.starts, seconds, self.starts + timedelta(seconds=seconds), limited_by)

    def as_answer(self) -> dict[str, int | str]:
        """Return it as every answer with signed URLs has it."""
        limited = {} if self.limited_by is None else {"expiry_limited_by": self.limited_by}
        return {
            "expiry_seconds": self.seconds,
            "expiry_timestamp": timestamp(self.ends),
            **limited,
        }


@dataclass(frozen=True)
class Item:
    """One announced item: what dtool's manifest says of it, where known.

    ``hash`` is the MD5 as 32 hex digits, ``utc_timestamp`` seconds since 1970 UTC.
    """

    identifier: str
    relpath: str
    size_in_bytes: int | None = None
    hash: str | None = None
    utc_timestamp: float | None = None


@dataclass(frozen=True)
class StoredItem:
    """What the store says of an object: bytes, MD5 (32 hex digits) and when it was written (UTC).

    ``defect`` says why it can be no item, whatever its bytes are.
    """

    size_in_bytes: int
    md5: str
    last_modified: datetime
    defect: str | None = None

    def fits(self, item: Item) -> bool:
        """Tell whether this is what was announced, as far as it was."""
        return (
            self.defect is None
            and item.size_in_bytes in (None, self.size_in_bytes)
            and item.hash in (None, self.md5)
        )


@dataclass(frozen=True)
class ReadURLs:
    """Signed URLs for all of a dataset; items, their relpaths and bytes, by identifier."""

    admin_metadata: str
    manifest: str
    readme: str
    items: Mapping[str, str]
    overlays: Mapping[str, str]
    annotations: Mapping[str, str]
    tags: Sequence[str]
    relpaths: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WriteURLs:
    """Signed URLs for an upload: a URL per document, a request per item identifier."""

    documents: Mapping[str, str]
    items: Mapping[str, SignedRequest]


@dataclass(frozen=True)
class Claim:
    """What is kept beside a proto-dataset, to tell an upload apart from any other.

    ``was_left`` is True where it has been kept there before: if it is gone, as everything may be
    that a store deletes by itself, the place still is this upload's.
    """

    facts: Mapping[str, str]
    was_left: bool = False


@dataclass(frozen=True)
class Opening:
    """What a proto-dataset starts with; ``staging`` names the place of staged objects."""

    uuid: str
    staging: str
    claim: Claim
    admin_metadata: Mapping[str, Any]
    tags: Sequence[str] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    overlays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Freezing:
    """What makes a proto-dataset a dataset; no README means to keep the one that is there."""

    readme: str | None
    manifest: Mapping[str, Any]
    admin_metadata: Mapping[str, Any]


@dataclass
class Holdings:
    """What the store holds of one upload or dataset, found by listing.

    ``final`` are items at their real key, ``staged`` those that still wait for promotion, both by
    identifier; ``temporary`` is all that is to go, by key; ``opened`` is False where the
    proto-dataset itself is gone, ``has_manifest`` where nobody can read the dataset. ``objects``
    counts all of them, whatever they are, where the storage lists them.
    """

    opened: bool = False
    has_manifest: bool = False
    objects: int = 0
    final: dict[str, StoredItem] = field(default_factory=dict)
    staged: dict[str, StoredItem] = field(default_factory=dict)
    temporary: dict[str, StoredItem | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Freed:
    """What deleting frees: a number of objects, and their bytes.

    Where ``old_versions_remain`` the store keeps what is deleted, and no bytes are freed.
    """

    objects: int = 0
    size_in_bytes: int = 0
    old_versions_remain: bool = False


@dataclass(frozen=True)
class Promotion:
    """A staged object, as verified, that is to become an item."""

    item: Item
    stored: StoredItem


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

    def open(self, opening: Opening, check: Callable[[], None]) -> None:
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

    def holdings(self, uuid: str, staging: str) -> Holdings:
        """Find what the store holds of the upload, or of the dataset that it became."""

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None where none was PUT."""

    def promote(
        self, uuid: str, staging: str, promotions: Sequence[Promotion]
    ) -> dict[str, StoredItem]:
        """Copy staged objects to their real keys; return what a listing then finds there."""

    def freeze(self, uuid: str, freezing: Freezing, check: Callable[[], None]) -> None:
        """Write README, manifest, and admin metadata last, which makes it a dataset.

        :param check: called before each; raises if another has taken over.
        :raises StorageUnavailable: also if they are not there afterwards, whatever the store said.
        """

    def is_frozen(self, uuid: str, freezing: Freezing) -> bool:
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
