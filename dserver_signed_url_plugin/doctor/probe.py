"""What the doctor can do with a store: sign URLs, and read and write scratch objects.

A probe signs URLs for scratch objects as the plugin signs them for people, and accesses the store
as the server does. It does not interpret the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dserver_signed_url_plugin.storage.parts import StoredPart
from dserver_signed_url_plugin.storage.values import SignedRequest, StoredItem


@dataclass(frozen=True)
class Lifecycle:
    """The names of the lifecycle rules that affect datasets, by their effect."""

    deleting: Sequence[str] = ()
    archiving: Sequence[str] = ()
    ends_old_versions: bool = False
    aborts_incomplete: bool = False


@dataclass(frozen=True)
class Removal:
    """The number of objects removed, and of their old versions that the store still keeps."""

    removed: int
    kept_versions: int = 0


class Probe(Protocol):
    """The doctor's access to one base URI.

    Methods that access the store raise Refused, or StorageUnavailable if there is no answer.
    """

    endpoint: str
    """The address that the server uses."""
    public_endpoint: str
    """The address that URLs are signed for."""
    scratch: str
    """The prefix of the keys of all scratch objects; no dataset is ever stored there."""
    pins: bool
    """Whether the plugin hands out pinned URLs here."""

    def unsigned_url(self, key: str, *, public: bool = True) -> str:
        """Return the URL of an object without a signature."""

    def read_url(self, key: str, method: str = "GET", age: int = 0) -> str:
        """Sign GET or HEAD, as for people, as if it were ``age`` seconds ago."""

    def pinned_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of an item that was announced with this content."""

    def staged_url(self, key: str) -> str:
        """Sign the PUT of a staged object, without headers."""

    def write(self, key: str, content: str) -> None:
        """Write an object as the server does."""

    def read(self, key: str) -> bytes | None:
        """Read an object as the server does; None if it does not exist."""

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch objects as the server does."""

    def remove(self) -> Removal:
        """Delete all scratch objects, and the container that holds them if there is one."""


class BucketProbe(Probe, Protocol):
    """The doctor's access to one S3 bucket."""

    bucket: str

    def internal_url(self, key: str) -> str:
        """Sign GET for the server's endpoint."""

    def misdirected_url(self, key: str) -> str:
        """Sign GET for the server's endpoint, but return a URL to the public one."""

    def has_write_key(self) -> bool:
        """Return whether write URLs are signed with a key pair of their own."""

    def credentials_expiry(self) -> datetime | None:
        """Return when the server's credentials expire, if that is known."""

    def regions(self) -> tuple[str, str | None]:
        """Return the region that URLs are signed for, and the one that the store reports."""

    def versioning(self) -> str:
        """Return ``Enabled``, ``Suspended`` or an empty string."""

    def lifecycle(self) -> Lifecycle:
        """Return the lifecycle rules that affect datasets."""

    def any_key(self) -> str | None:
        """Return the key of any object in the bucket that is not empty."""

    def copy(self, source: str, md5: str, target: str) -> bool:
        """Copy an object as the server does; False if the source does not have this MD5."""

    def begin_parts(self, key: str) -> str:
        """Create a multipart upload as the server does, and return its ID."""

    def part_put(self, key: str, upload_id: str, content: bytes | None = None) -> SignedRequest:
        """Sign the PUT of part 1; pinned if its content is given."""

    def parts(self, key: str, upload_id: str) -> Mapping[int, StoredPart] | None:
        """List the parts as the server does; None if the store does not know the upload."""

    def complete_parts(self, key: str, upload_id: str) -> bool:
        """Put the parts together as the server does; return whether that succeeded."""

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Delete the parts as the server does."""

    def incomplete_uploads(self) -> Sequence[datetime | None]:
        """Return when (UTC) each incomplete multipart upload in the bucket was begun."""

    def owner(self) -> str:
        """Return the user ID that the server's key belongs to; empty if unknown."""

    def object_in_another_bucket(self) -> tuple[str, str] | None:
        """Return ``bucket/key`` and the unsigned URL of a small object in another bucket."""

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the headers and metadata that the store keeps for an object."""

    def tags(self, key: str) -> Mapping[str, str]:
        """Return an object's tags; empty where the store does not support tags."""


class AccountProbe(Probe, Protocol):
    """The doctor's access to one Azure account."""

    def public_containers(self) -> Sequence[str]:
        """Return the containers that anybody can read."""

    def key_ends(self) -> datetime | None:
        """Return when what signs URLs ends; None if that is an account key."""

    def soft_delete_days(self) -> int:
        """Return for how many days deleted blobs are kept; 0 if they are not."""

    def create_scratch(self) -> None:
        """Create the scratch container."""

    def read_staged(self, key: str) -> bytes | None:
        """Read what was PUT to a staged URL, as completion does."""

    def part_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of a part, whose MD5 is given, of an item."""

    def assembled(self, key: str, target: str) -> bytes | None:
        """Make an item of the part that was PUT, as completion does, and read it."""
