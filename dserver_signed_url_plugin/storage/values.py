"""The values that storages take and return.

Knows no vendor. Datasets are named by UUID, items by identifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from math import floor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from dserver_signed_url_plugin.times import timestamp

if TYPE_CHECKING:
    from typing_extensions import Self

Signed = TypeVar("Signed")

# Of an item: the SHA-1 of its relpath.
IDENTIFIER = re.compile(r"[0-9a-f]{40}")
_is_md5 = re.compile(r"[0-9a-fA-F]{32}").fullmatch

# What databases count in, a signed integer of 64 bits.
MAX_BYTES = 2**63 - 1
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"

DOCUMENTS = ("readme", "admin_metadata", "manifest", "structure")


def as_md5(text: str | None) -> str | None:
    """Return an MD5 (32 hexadecimal digits) in lower case, or None if the text is none."""
    return text.lower() if text is not None and _is_md5(text) else None


class Refused(Exception):
    """The store refused a request of the doctor; ``code`` is the store's error code, if any."""

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
    """When signed URLs work: from ``starts`` to ``ends`` (UTC), which are ``seconds``.

    ``limited_by`` says what made it shorter than requested, such as ``credentials``.
    """

    starts: datetime
    seconds: int
    ends: datetime
    limited_by: str | None = None

    @classmethod
    def from_now(cls, seconds: int, most: int) -> Life:
        """Return a life that begins now; ``most`` seconds is the longest that the store grants."""
        now = datetime.now(timezone.utc).replace(microsecond=0)
        granted = min(seconds, most)
        limited_by = "store" if granted < seconds else None
        return cls(now, granted, now + timedelta(seconds=granted), limited_by)

    def until(self, end: datetime, limited_by: str) -> Life:
        """Return this life, ending no later than a moment (UTC), in whole seconds."""
        if end >= self.ends:
            return self
        seconds = floor((end - self.starts).total_seconds())
        return Life(self.starts, seconds, self.starts + timedelta(seconds=seconds), limited_by)

    def as_answer(self) -> dict[str, int | str]:
        """Return the fields that every answer with signed URLs has."""
        limited = {} if self.limited_by is None else {"expiry_limited_by": self.limited_by}
        return {
            "expiry_seconds": self.seconds,
            "expiry_timestamp": timestamp(self.ends),
            **limited,
        }


class Item(msgspec.Struct, frozen=True, gc=False):
    """One item of a dataset: what dtool's manifest says of it, as far as it is known.

    ``hash`` is the MD5 as 32 hex digits, ``utc_timestamp`` seconds since 1970 UTC. There may be
    100,000, so it is small, and no concern of the garbage collector.
    """

    identifier: str
    relpath: str
    size_in_bytes: int | None = None
    hash: str | None = None
    utc_timestamp: float | None = None

    @property
    def is_described(self) -> bool:
        """Whether its size and MD5 are known."""
        return self.size_in_bytes is not None and self.hash is not None

    @property
    def is_empty(self) -> bool:
        """Whether it has no bytes, and the MD5 of none."""
        return self.size_in_bytes == 0 and self.hash == EMPTY_MD5


def total_size(sizes: Collection[int | None]) -> int | None:
    """Return the sum of sizes in bytes, or None if one is not known, or it exceeds MAX_BYTES."""
    known = [size for size in sizes if size is not None]
    total = sum(known)
    return total if len(known) == len(sizes) and total <= MAX_BYTES else None


class StoredItem(msgspec.Struct, frozen=True, gc=False):
    """An object as the store lists it: bytes, MD5 (32 hex digits), time of its last write (UTC).

    ``md5`` of an item that was assembled from parts is what assembled_md5() says, which is no MD5.
    ``defect`` says why it cannot be an item, whatever its bytes are. ``in_parts`` is True if the
    store tells that it was assembled from parts, so that its MD5 may be a client's claim.
    """

    size_in_bytes: int
    md5: str
    last_modified: datetime
    defect: str | None = None
    in_parts: bool = False

    def fits(self, item: Item) -> bool:
        """Return whether this is the announced item, as far as its properties were announced."""
        return (
            self.defect is None
            and item.size_in_bytes in (None, self.size_in_bytes)
            and item.hash in (None, self.md5)
        )


class SignedOnDemand(Mapping[str, Signed], Generic[Signed]):
    """What is signed for each item, by identifier; signed anew whenever it is looked up.

    :param entries: the items by identifier.
    :param sign: sends no request, and cannot fail, so that it can sign while an answer is sent.
    """

    def __init__(self, entries: Mapping[str, Item], sign: Callable[[Item], Signed]) -> None:
        self.entries, self._sign = entries, sign

    def __getitem__(self, identifier: str) -> Signed:
        return self._sign(self.entries[identifier])

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def sign(self, item: Item) -> Signed:
        """Sign for one of ``entries``, without looking it up."""
        return self._sign(item)

    def signed(self) -> Iterator[tuple[Item, Signed]]:
        """Yield each item with what is signed for it."""
        sign = self._sign
        return ((item, sign(item)) for item in self.entries.values())

    def among(self, entries: Mapping[str, Item]) -> Self:
        """Return what is signed for some of the items."""
        return type(self)(entries, self._sign)


class SignedItems(SignedOnDemand[str]):
    """URLs to read items; ``entries`` are the items as the manifest has them."""


@dataclass(frozen=True)
class FoundObject:
    """An object as the store describes it when it is looked up.

    ``metadata`` has names in lower case: proxies change the case of header names, and boto3 does
    not. An object that ``is_archived`` cannot be read.
    """

    metadata: Mapping[str, str]
    etag: str = ""
    is_archived: bool = False
    is_being_restored: bool = False


@dataclass(frozen=True)
class ReadURLs:
    """Signed URLs for all of a dataset."""

    admin_metadata: str
    manifest: str
    readme: str
    items: SignedItems
    overlays: Mapping[str, str]
    annotations: Mapping[str, str]
    tags: Sequence[str]


class SignedRequests(SignedOnDemand[SignedRequest]):
    """Requests to write items; ``entries`` are the items as they were announced."""

    @classmethod
    def of(cls, items: Iterable[Item], sign: Callable[[Item], SignedRequest]) -> Self:
        """Return the requests for these items."""
        return cls({item.identifier: item for item in items}, sign)


@dataclass(frozen=True)
class WriteURLs:
    """Signed URLs for an upload: a URL per document, a request per item identifier.

    ``pinned`` is True if none of them can write bytes that were not announced.
    """

    documents: Mapping[str, str]
    items: SignedRequests
    pinned: bool = False


@dataclass(frozen=True)
class Limits:
    """What one storage can keep: bytes of an item in one PUT, bytes of a relpath in UTF-8.

    ``ascii_creators`` is True if it keeps the creator in metadata that must be ASCII;
    ``tags_may_end_in_dot`` if a tag, which is the name of an object, may.
    """

    max_item_bytes: int = 5 * 1024**3
    max_relpath_bytes: int = 1500
    ascii_creators: bool = False
    tags_may_end_in_dot: bool = True

    def allow_creator(self, username: str) -> bool:
        """Return whether admin metadata can carry this creator."""
        return username.isascii() or not self.ascii_creators


@dataclass(frozen=True)
class Claim:
    """A document beside a proto-dataset that says to which upload it belongs.

    ``was_written`` is True if this upload has written it before: if it is gone, as everything may
    be that a lifecycle rule deletes, the proto-dataset still belongs to the upload.
    """

    facts: Mapping[str, str]
    was_written: bool = False


@dataclass(frozen=True)
class ProtoDataset:
    """What a proto-dataset is created with."""

    uuid: str
    claim: Claim
    admin_metadata: Mapping[str, Any]
    tags: Sequence[str] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    overlays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class Contents:
    """What the store lists of one upload or dataset.

    ``final`` are items at their real key, ``staged`` those that wait for promotion, both by
    identifier; ``temporary`` are the objects to delete after completion, by key. ``unassembled``
    are identifiers of items that the store failed to make of their parts. ``opened`` is False if
    there is no admin metadata. ``objects`` counts all of them, whatever they are.
    """

    opened: bool = False
    has_manifest: bool = False
    objects: int = 0
    final: dict[str, StoredItem] = field(default_factory=dict)
    staged: dict[str, StoredItem] = field(default_factory=dict)
    temporary: dict[str, StoredItem | None] = field(default_factory=dict)
    unassembled: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Freed:
    """What deleting frees: a number of objects, and their bytes, with those of parts.

    If ``old_versions_remain``, the store keeps the objects, and frees the bytes of parts only.
    """

    objects: int = 0
    size_in_bytes: int = 0
    old_versions_remain: bool = False


class Promotion(msgspec.Struct, frozen=True, gc=False):
    """A verified staged object, and the item that it is to become."""

    item: Item
    stored: StoredItem
