"""Datasets, items and grants: the values that dserver returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MAX_SIZE = 5 << 40  # bytes: the largest object of S3, whose items are no larger


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a dataset: size in bytes, MD5 as 32 hexadecimal digits, None where unknown."""

    identifier: str
    relpath: str
    size_in_bytes: int | None
    hash: str | None


@dataclass(frozen=True, slots=True)
class SignedItem:
    """An item and the URL that reads it."""

    item: Item
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DatasetURLs:
    """What dserver grants to a reader of a dataset; items are asked for separately."""

    uri: str
    expires: datetime
    admin_metadata_url: str = field(repr=False)
    manifest_url: str = field(repr=False)
    readme_url: str = field(repr=False)
    overlay_urls: dict[str, str] = field(repr=False)
    annotation_urls: dict[str, str] = field(repr=False)
    tags: list[str]


@dataclass(frozen=True, slots=True)
class ItemToSend:
    """Where one item goes: by one PUT to ``url``, or in parts of ``part_size`` bytes."""

    identifier: str
    relpath: str
    url: str | None = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    part_size: int = 0
    part_count: int = 0


@dataclass(frozen=True, slots=True)
class UploadGrant:
    """What dserver grants for a deposit; items that are stored already have no entry."""

    uri: str
    uuid: str
    expires: datetime
    readme_url: str = field(repr=False)
    items: Mapping[str, ItemToSend] = field(repr=False)
    upload_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A registered dataset, as dserver's index knows it; times are UTC."""

    uri: str
    uuid: str
    name: str
    base_uri: str
    creator_username: str
    frozen_at: datetime | None
    created_at: datetime | None
    number_of_items: int | None
    size_in_bytes: int | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Deposited:
    """A deposit that is registered. ``already_stored`` items did not have to be sent."""

    uri: str
    uuid: str
    name: str
    items: int
    size_in_bytes: int
    sent_in_bytes: int
    already_stored: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A dataset, or some items of it, in a local directory.

    ``renamed`` maps relpaths to the paths of files whose names had to be changed.
    """

    uri: str
    directory: str
    items: int
    size_in_bytes: int
    fetched_in_bytes: int
    already_there: int
    renamed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verified:
    """A dataset compared with its manifest: the relpaths of items that differ.

    ``hashes_compared`` is the number of items whose MD5 could be compared.
    """

    uri: str
    items: int
    size_in_bytes: int
    missing: list[str]
    wrong_size: list[str]
    wrong_hash: list[str]
    hashes_compared: int

    @property
    def is_right(self) -> bool:
        """Return whether nothing differs."""
        return not (self.missing or self.wrong_size or self.wrong_hash)


@dataclass(frozen=True, slots=True)
class User:
    """Who is logged in, and the base URIs where datasets may be read, and deposited."""

    username: str
    is_admin: bool
    search_base_uris: list[str]
    register_base_uris: list[str]


@dataclass(frozen=True, slots=True)
class BaseURI:
    """A base URI, and what this user may do there: read datasets, deposit datasets."""

    uri: str
    may_search: bool
    may_register: bool


@dataclass(frozen=True, slots=True)
class SignedPart:
    """Where one part of an item goes."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that is stored; the MD5 is None if the store does not tell it."""

    size_in_bytes: int
    hash: str | None


@dataclass(frozen=True, slots=True)
class PartURLs:
    """Where parts of an item go, and which parts are stored; by number, from 1 on."""

    expires: datetime
    part_size: int
    count: int
    parts: dict[int, SignedPart]
    stored: dict[int, StoredPart]


@dataclass(frozen=True, slots=True)
class StoredParts:
    """How many parts of an item are stored, of how many of ``part_size`` bytes."""

    stored: int
    count: int
    part_size: int


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """The progress of a deposit. Of a registered dataset there is only the state.

    ``state`` is ``opening``, ``open``, ``frozen`` or ``registered``. ``missing`` and ``wrong`` have
    the relpaths of the first 100 items that are not stored, or not as announced. ``parts`` has
    what is stored of unfinished items, by relpath; ``stored_in_bytes`` does not count it.
    """

    uri: str
    uuid: str
    state: str
    name: str | None = None
    uploader: str | None = None
    created_at: datetime | None = None
    urls_expire_at: datetime | None = None
    items_expected: int | None = None
    items_stored: int | None = None
    size_in_bytes: int | None = None
    stored_in_bytes: int | None = None
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    items_completed: int | None = None
    parts: dict[str, StoredParts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registered:
    """A deposit that dserver has completed and registered.

    ``verified`` is ``parts`` if an item came in parts, so that its MD5 is what was announced.
    """

    uri: str
    uuid: str
    name: str
    verified: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A link to a dataset, or to some items of it; times are UTC.

    ``state`` is ``active``, ``expired``, ``revoked``, ``used-up`` or ``unavailable``.
    ``max_downloads`` is None if any number is allowed. ``link``, and in ``limited_by`` why it
    expires earlier than was asked for, are known only when it is created.
    """

    id: str
    uri: str
    name: str | None
    state: str | None
    created: datetime | None
    expires: datetime | None
    number_of_items: int | None
    downloads: int | None
    max_downloads: int | None
    note: str | None
    owner: str | None
    limited_by: str | None = None
    link: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SharedContents:
    """What the link of a share gives access to.

    ``downloads_left`` is None if any number is allowed. ``items`` are those of a manifest, by
    identifier.
    """

    name: str
    uuid: str
    note: str | None
    readme: str | None = field(repr=False)
    expires: datetime | None
    downloads_left: int | None
    items: dict[str, Any] = field(repr=False)
