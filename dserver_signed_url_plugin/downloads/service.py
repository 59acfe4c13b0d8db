"""Signed URLs to read registered datasets, which end before a lifecycle rule deletes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.config import Settings, chosen_life
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.downloads.grants import (
    DatasetGrant,
    ItemGrant,
    ItemList,
    ItemsGrant,
    SelectedItems,
)
from dserver_signed_url_plugin.downloads.lists import ListFormat, item_list
from dserver_signed_url_plugin.downloads.paging import Page, PageRequest
from dserver_signed_url_plugin.downloads.selection import Selection
from dserver_signed_url_plugin.errors import DatasetExpiring, DatasetNotFound, ItemNotFound
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.permissions import ReadPermit
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.storage.dataset_cache import BoundedCache, KnownDataset
from dserver_signed_url_plugin.storage.protocols import ReadSigner
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import IDENTIFIER, Life
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.uris import DatasetURI


@dataclass(frozen=True)
class _Readable:
    """A registered dataset whose URLs are to be signed, and what signs them."""

    uri: DatasetURI
    registered: RegisteredDataset
    signer: ReadSigner
    life: Life
    known: KnownDataset


class Downloads:
    """Signs URLs to read registered datasets.

    ``expiry_seconds`` is how long the URLs should work, None for the server's default;
    ``disposition`` is whether browsers save the items or show them. Every method raises
    DatasetNotFound if dserver does not know the dataset or storage no longer holds it, and
    DatasetExpiring if a lifecycle rule of its store is about to delete it.
    """

    def __init__(self, settings: Settings, storages: Storages, lifecycles: Lifecycles) -> None:
        self._settings, self._storages, self._lifecycles = settings, storages, lifecycles
        self._cache = BoundedCache(settings.cache_bytes)

    def dataset(
        self,
        permit: ReadPermit,
        uuid: str,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
        page: PageRequest | None = None,
    ) -> DatasetGrant:
        """Sign all of a dataset, its items while the grant is read.

        :param page: which items; None for all.
        :raises PageNotFound: if there is no such page.
        """
        dataset = self._readable(permit, uuid, expiry_seconds)
        urls = dataset.signer.read_urls(uuid, dataset.life, disposition, dataset.known)
        found = None
        if page is not None:
            items, found = Page.of(urls.items, page)
            urls = replace(urls, items=items)
        size = dataset.registered.size_in_bytes
        return DatasetGrant(dataset.uri, dataset.life, urls, size, found)

    def items(
        self,
        permit: ReadPermit,
        uuid: str,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
    ) -> ItemsGrant:
        """Return the items of a dataset, each of which is signed when it is looked up."""
        dataset = self._readable(permit, uuid, expiry_seconds)
        items = dataset.signer.items(uuid, dataset.life, disposition, dataset.known)
        return ItemsGrant(dataset.uri, dataset.life, items, dataset.registered)

    def selected(
        self,
        permit: ReadPermit,
        uuid: str,
        selection: Selection,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
    ) -> SelectedItems:
        """Sign some items.

        :raises InvalidField: if a pattern matches too many items.
        """
        grant = self.items(permit, uuid, expiry_seconds, disposition)
        chosen, missing = selection.chosen(grant.items.entries)
        return SelectedItems(grant.uri, grant.life, chosen, grant.items, missing)

    def item_list(
        self,
        permit: ReadPermit,
        uuid: str,
        list_format: ListFormat,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
    ) -> ItemList:
        """Return a list of all items for another program, signed while it is read."""
        grant = self.items(permit, uuid, expiry_seconds, disposition)
        number, ends = len(grant.items), grant.life.ends
        title = f"{grant.uri}: {counted(number, 'item')}; the URLs end at {timestamp(ends)}"
        extent = Extent(number, grant.registered.size_in_bytes, ends)
        return ItemList(item_list(list_format, grant.items, title), extent)

    def item(
        self,
        permit: ReadPermit,
        uuid: str,
        identifier: str,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
    ) -> ItemGrant:
        """Sign one item.

        :raises ItemNotFound: if the dataset has no such item.
        """
        dataset = self._readable(permit, uuid, expiry_seconds, identifier)
        url = dataset.signer.item_url(uuid, identifier, dataset.life, disposition, dataset.known)
        return ItemGrant(dataset.uri, dataset.life, identifier, url)

    def beginning(self, permit: ReadPermit, uuid: str, identifier: str, limit: int) -> bytes | None:
        """Return the first limit + 1 bytes of an item; None if its storage cannot read them.

        :raises ItemNotFound: if the dataset has no such item.
        :raises ItemArchived: if it is in an archive.
        """
        dataset = self._readable(permit, uuid, None, identifier)
        return dataset.signer.beginning(uuid, identifier, limit)

    def _readable(
        self,
        permit: ReadPermit,
        uuid: str,
        expiry_seconds: int | None,
        identifier: str | None = None,
    ) -> _Readable:
        """Find a dataset and what signs its URLs, or those of one item."""
        uri = permit.base_uri.dataset(uuid)
        seconds = chosen_life(
            expiry_seconds, self._settings.read_expiry, self._settings.max_read_expiry
        )
        registered = datasets.find(uri)
        if registered is None:
            raise DatasetNotFound("dserver", uri)
        if identifier is not None and not IDENTIFIER.fullmatch(identifier):
            raise ItemNotFound(identifier[:40])
        signer = self._storages.reads(permit.base_uri)
        life = self._life(signer, uri, seconds, identifier)
        known = KnownDataset(self._cache, registered)
        return _Readable(uri, registered, signer, life, known)

    def _life(
        self, signer: ReadSigner, uri: DatasetURI, seconds: int, identifier: str | None
    ) -> Life:
        """Return the life of the URLs, which end before the objects do."""
        ends = self._lifecycles.ends(uri, identifier)
        life = signer.life(seconds)
        if ends is None:
            return life
        life = life.until(ends, "lifecycle")
        if life.seconds < 1:
            raise DatasetExpiring(uri)
        return life
