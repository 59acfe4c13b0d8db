"""Signed URLs to read registered datasets, which end before a lifecycle rule deletes them."""

from __future__ import annotations

import re
from dataclasses import replace

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
from dserver_signed_url_plugin.storage.dataset_cache import BoundedCache, KnownDataset
from dserver_signed_url_plugin.storage.protocols import ReadSigner
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Life
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.uris import DatasetURI

_IDENTIFIER = re.compile(r"[0-9a-f]{40}")


class Downloads:
    """Signs URLs to read registered datasets."""

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

        :param expiry_seconds: how long the URLs should work; None for the server's default.
        :param disposition: whether browsers save the items or show them.
        :param page: which items; None for all.
        :raises PageNotFound: if there is no such page.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        uri, seconds = permit.base_uri.dataset(uuid), self._seconds(expiry_seconds)
        registered, storage = _registered(uri), self._storages.reads(permit.base_uri)
        life = self._life(storage, uri, seconds, None)
        known = KnownDataset(self._cache, registered)
        urls = storage.read_urls(uri.uuid, life, disposition, known)
        if page is None:
            return DatasetGrant(uri, life, urls, registered.size_in_bytes)
        items, found = Page.of(urls.items, page)
        urls = replace(urls, items=items)
        return DatasetGrant(uri, life, urls, registered.size_in_bytes, found)

    def items(
        self,
        permit: ReadPermit,
        uuid: str,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
    ) -> ItemsGrant:
        """Return the items of a dataset, each of which is signed when it is looked up.

        :param expiry_seconds: how long the URLs should work; None for the server's default.
        :param disposition: whether browsers save the items or show them.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        uri, seconds = permit.base_uri.dataset(uuid), self._seconds(expiry_seconds)
        registered, storage = _registered(uri), self._storages.reads(permit.base_uri)
        life = self._life(storage, uri, seconds, None)
        known = KnownDataset(self._cache, registered)
        items = storage.items(uri.uuid, life, disposition, known)
        return ItemsGrant(uri, life, items, registered.size_in_bytes)

    def selected(
        self,
        permit: ReadPermit,
        uuid: str,
        selection: Selection,
        expiry_seconds: int | None,
        disposition: Disposition = "attachment",
    ) -> SelectedItems:
        """Sign some items.

        :param expiry_seconds: how long the URLs should work; None for the server's default.
        :param disposition: whether browsers save the items or show them.
        :raises InvalidField: if a pattern matches too many items.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
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
        """Return a list of all items for another program, signed while it is read.

        :param expiry_seconds: how long the URLs should work; None for the server's default.
        :param disposition: whether browsers save the items or show them.
        :raises DatasetNotFound: if dserver does not know it, or storage no longer holds it.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        grant = self.items(permit, uuid, expiry_seconds, disposition)
        number, ends = len(grant.items), grant.life.ends
        title = f"{grant.uri}: {number:,} item(s); the URLs end at {timestamp(ends)}"
        extent = Extent(number, grant.size_in_bytes, ends)
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

        :param expiry_seconds: how long the URL should work; None for the server's default.
        :param disposition: whether browsers save the item or show it.
        :raises DatasetNotFound: if dserver does not know the dataset.
        :raises ItemNotFound: if the dataset has no such item.
        :raises DatasetExpiring: if a lifecycle rule of its store is about to delete it.
        """
        uri, seconds = permit.base_uri.dataset(uuid), self._seconds(expiry_seconds)
        registered = _registered(uri)
        if not _IDENTIFIER.fullmatch(identifier):
            raise ItemNotFound(identifier[:40])
        storage = self._storages.reads(permit.base_uri)
        life = self._life(storage, uri, seconds, identifier)
        known = KnownDataset(self._cache, registered)
        url = storage.item_url(uri.uuid, identifier, life, disposition, known)
        return ItemGrant(uri, life, identifier, url)

    def _life(
        self, storage: ReadSigner, uri: DatasetURI, seconds: int, identifier: str | None
    ) -> Life:
        """Return the life of the URLs, which end before the objects do."""
        ends = self._lifecycles.ends(uri, identifier)
        life = storage.life(seconds)
        if ends is None:
            return life
        life = life.until(ends, "lifecycle")
        if life.seconds < 1:
            raise DatasetExpiring(uri)
        return life

    def _seconds(self, expiry_seconds: int | None) -> int:
        return chosen_life(
            expiry_seconds, self._settings.read_expiry, self._settings.max_read_expiry
        )


def _registered(uri: DatasetURI) -> RegisteredDataset:
    dataset = datasets.find(uri)
    if dataset is None:
        raise DatasetNotFound("dserver", uri)
    return dataset
