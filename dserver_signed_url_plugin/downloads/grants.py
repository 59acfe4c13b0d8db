"""What a reader is granted: signed URLs of a dataset, of its items, or of one item."""

from __future__ import annotations

from dataclasses import dataclass

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.storage.values import Life, ReadURLs, SignedItems
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class DatasetGrant:
    """Signed URLs for all of a dataset."""

    uri: DatasetURI
    life: Life
    urls: ReadURLs
    size_in_bytes: int | None

    @property
    def extent(self) -> Extent:
        return Extent(len(self.urls.items), self.size_in_bytes, self.life.ends)


@dataclass(frozen=True)
class ItemsGrant:
    """Signed URLs for any of the items of a dataset."""

    uri: DatasetURI
    life: Life
    items: SignedItems


@dataclass(frozen=True)
class ItemGrant:
    """A signed URL for one item."""

    uri: DatasetURI
    life: Life
    identifier: str
    url: str

    @property
    def extent(self) -> Extent:
        return Extent(items=1, expires_at=self.life.ends)
