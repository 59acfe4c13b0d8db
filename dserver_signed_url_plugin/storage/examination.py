"""What a storage shows to the doctor, and the values in which it shows it.

Knows no vendor. A storage signs for any key below a scratch place of its own, and asks its store as
the server itself does; what the answers mean is the doctor's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dserver_signed_url_plugin.storage.base import StoredItem


class Refused(Exception):
    """The store answered, but not as hoped; ``code`` is its own word for why, if it has one."""

    def __init__(self, status: int, code: str | None) -> None:
        super().__init__(f"{status} {code or ''}".strip())
        self.status, self.code = status, code


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


class Examination(Protocol):
    """One base URI's storage as the doctor sees it.

    What is asked of the store raises Refused, or StorageUnavailable where nothing answers.
    """

    inside: str
    """The store's address for the server."""
    outside: str
    """The store's address for people: what URLs are signed for."""
    scratch: str
    """What the keys of all examined objects start with; no dataset is ever found there."""

    def bare_url(self, key: str, inside: bool = False) -> str:
        """Return the URL of a key without a signature."""

    def sign(
        self, method: str, key: str, headers: Mapping[str, str] | None = None, ago: int = 0
    ) -> str:
        """Sign for a minute, as is done for people; ``ago`` seconds ago."""

    def sign_inside(self, method: str, key: str) -> str:
        """Sign for a minute and for the server's address, but return a URL to people's."""

    def pin(self, content: bytes) -> Mapping[str, str]:
        """Return the headers that pin a PUT to this content."""

    def smuggled_copy(self, source: str) -> Mapping[str, str]:
        """Return the headers that, if a store obeys them unsigned, make a PUT a copy."""

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

    def write(self, key: str, content: str) -> None:
        """Write as the server does."""

    def read(self, key: str) -> bytes | None:
        """Read as the server does."""

    def copy(self, source: str, md5: str, target: str) -> bool:
        """Copy as the server does; False if the source is not what md5 says."""

    def listing(self) -> Mapping[str, StoredItem]:
        """List the scratch place as the server does."""

    def remove(self) -> Removal:
        """Delete all that is in the scratch place."""
