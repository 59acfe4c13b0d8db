"""The values that storages take and return.

Knows no vendor. Datasets are named by UUID, items by identifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from math import floor
from typing import Any

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
class ProtoDataset:
    """What a proto-dataset starts with; ``staging`` names the place of staged objects."""

    uuid: str
    staging: str
    claim: Claim
    admin_metadata: Mapping[str, Any]
    tags: Sequence[str] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    overlays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class FrozenDataset:
    """What makes a proto-dataset a dataset; no README means to keep the one that is there."""

    readme: str | None
    manifest: Mapping[str, Any]
    admin_metadata: Mapping[str, Any]


@dataclass
class Contents:
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
