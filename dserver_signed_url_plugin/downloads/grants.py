"""What a reader is granted: signed URLs of a dataset, of its items, or of one item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.downloads.paging import Page
from dserver_signed_url_plugin.storage.values import Item, Life, ReadURLs, SignedItems, total_size
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class DatasetGrant:
    """Signed URLs for all of a dataset, or for a page of its items and what describes it.

    ``size_in_bytes`` is that of all its items, as registered. ``details`` tells whether the client
    has asked what the manifest says of the items.
    """

    uri: DatasetURI
    life: Life
    urls: ReadURLs
    size_in_bytes: int | None
    page: Page | None = None
    details: bool = False

    @property
    def extent(self) -> Extent:
        size = self.size_in_bytes
        if self.page is not None:
            size = total_size([item.size_in_bytes for item in self.urls.items.entries.values()])
        return Extent(len(self.urls.items), size, self.life.ends)


@dataclass(frozen=True)
class ItemsGrant:
    """Signed URLs for any of the items of a registered dataset."""

    uri: DatasetURI
    life: Life
    items: SignedItems
    registered: RegisteredDataset


@dataclass(frozen=True)
class SelectedItems:
    """Signed URLs for some items of a dataset.

    ``chosen`` are the items by identifier, ``missing`` what was requested and is not there.
    """

    uri: DatasetURI
    life: Life
    chosen: Mapping[str, Item]
    urls: Mapping[str, str]
    missing: Sequence[str]

    @property
    def extent(self) -> Extent:
        sizes = [item.size_in_bytes for item in self.chosen.values()]
        return Extent(len(self.chosen), total_size(sizes), self.life.ends)


@dataclass(frozen=True)
class ItemList:
    """A list of a dataset's items for another program; ``lines`` can be read once."""

    lines: Iterator[str]
    extent: Extent


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
