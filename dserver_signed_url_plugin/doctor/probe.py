"""What a storage shows to the doctor, and the values in which it shows it.

Knows no vendor. A storage signs for any key below a scratch place of its own, and asks its store as
the server itself does; what the answers mean is the doctor's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dserver_signed_url_plugin.storage.values import SignedRequest, StoredItem


@dataclass(frozen=True)
class Lifecycle:
    """What the store does to objects by itself: the names of its rules, by their effect."""

    deleting: Sequence[str] = ()
    archiving: Sequence[str] = ()
    ends_old_versions: bool = False


@dataclass(frozen=True)
class Removal:
    """How many objects were removed, and how many old versions of them the store still keeps."""

    removed: int
    kept_versions: int = 0


class Probe(Protocol):
    """One base URI's storage as the doctor sees it.

    What is asked of the store raises Refused, or StorageUnavailable where nothing answers.
    """

    inside: str
    """The store's address for the server."""
    outside: str
    """The store's address for people: what URLs are signed for."""
    scratch: str
    """What the keys of all examined objects start with; no dataset is ever found there."""
    pins: bool
    """Whether people are given URLs that lead to an item's place, for announced bytes alone."""

    def bare_url(self, key: str, inside: bool = False) -> str:
        """Return the URL of a key without a signature."""

    def read_url(self, key: str, method: str = "GET", ago: int = 0) -> str:
        """Sign GET or HEAD, as is done for people; ``ago`` seconds ago."""

    def pinned_put(self, key: str, content: bytes) -> SignedRequest:
        """Sign the PUT of an item of this content, which was announced."""

    def staged_url(self, key: str) -> str:
        """Sign the PUT of what completion will look at, with no header."""

    def write(self, key: str, content: str) -> None:
        """Write as the server does."""

    def read(self, key: str) -> bytes | None:
        """Read as the server does."""

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch place as the server does."""

    def remove(self) -> Removal:
        """Delete all that is in the scratch place, and the place itself if it is one."""


class BucketProbe(Probe, Protocol):
    """One S3 bucket as the doctor sees it: what only S3 has."""

    bucket: str

    def inside_url(self, key: str) -> str:
        """Sign GET for the server's address."""

    def misdirected_url(self, key: str) -> str:
        """Sign GET for the server's address, but return a URL to people's."""

    def has_write_key(self) -> bool:
        """Tell whether URLs to write are signed with a key pair of their own."""

    def credentials_end(self) -> datetime | None:
        """Return when the credentials end, if that is known."""

    def regions(self) -> tuple[str, str | None]:
        """Return the region that is signed for, and the one that the store names, if any."""

    def versioning(self) -> str:
        """Return ``Enabled``, ``Suspended`` or nothing."""

    def lifecycle(self) -> Lifecycle:
        """Return what the store does to datasets by itself."""

    def some_key(self) -> str | None:
        """Return the key of any object that is there and not empty."""

    def copy(self, source: str, md5: str, target: str) -> bool:
        """Copy as the server does; False if the source is not what md5 says."""

    def user(self) -> str:
        """Return the store's name for whom the server's key belongs to."""

    def object_elsewhere(self) -> tuple[str, str] | None:
        """Return ``bucket/key`` and the bare URL of a small object in another bucket, if any."""

    def headers(self, key: str) -> Mapping[str, str]:
        """Return how the store describes an object: what was PUT beside its bytes."""

    def tags(self, key: str) -> Mapping[str, str]:
        """Return an object's tags; none where the store knows no tags."""


class AccountProbe(Probe, Protocol):
    """One Azure account as the doctor sees it: what only Azure has."""

    def public_containers(self) -> Sequence[str]:
        """Return which of the first 5,000 containers anybody may read."""

    def days_kept(self) -> int:
        """Return for how many days blobs are kept that somebody deletes."""

    def create_scratch(self) -> None:
        """Make the scratch place, which is a container."""

    def collect(self, key: str) -> bytes | None:
        """Read what was PUT to a staged URL as completion does."""
