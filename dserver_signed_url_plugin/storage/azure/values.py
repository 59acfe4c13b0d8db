"""The containers and blobs that requests to an account return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from dserver_signed_url_plugin.storage.values import StoredItem

PENDING = "pending"
# What the names of headers with metadata begin with.
METADATA_PREFIX = "x-ms-meta-"


@dataclass(frozen=True)
class FoundContainer:
    """A container's metadata, and when it was written last (UTC, whole seconds)."""

    metadata: Mapping[str, str]
    last_modified: datetime

    @property
    def dataset_type(self) -> str | None:
        """Dtool's type of what is in it, as dtool-azure reads it."""
        return self.metadata.get("type")


@dataclass(frozen=True)
class ListedBlob:
    """A blob of a listing; ``etag`` identifies its version.

    ``assembly`` is the status of the copy if the blob was copied from the parts of this item, such
    as ``PENDING``, ``success`` or ``failed``; None if it was not.
    """

    name: str
    etag: str
    metadata: Mapping[str, str]
    stored: StoredItem
    is_copy: bool = False
    assembly: str | None = None

    @property
    def is_assembled(self) -> bool:
        """Whether nothing is missing: not while parts are being copied, nor if that failed."""
        return self.assembly in (None, "success")

    @property
    def is_folder(self) -> bool:
        """Whether the blob is a placeholder that other tools create for a folder.

        Source: Microsoft, "Azure Data Lake Storage: known issues with Blob Storage APIs".
        """
        metadata = {name.lower(): value.lower() for name, value in self.metadata.items()}
        is_empty = self.stored.size_in_bytes == 0
        return is_empty and (self.name.endswith("/") or metadata.get("hdi_isfolder") == "true")


@dataclass(frozen=True)
class ListedContainer:
    """A container of a listing; everybody can read the blobs of one that is public."""

    name: str
    is_public: bool


Listed = TypeVar("Listed", ListedBlob, ListedContainer)


@dataclass(frozen=True)
class Page(Generic[Listed]):
    """A page of a listing; ``next_marker`` is None on the last page."""

    listed: Sequence[Listed]
    next_marker: str | None
