"""Signing URLs to read the datasets of one account, after looking up what there is to read."""

from __future__ import annotations

from collections.abc import Mapping

from dserver_signed_url_plugin.errors import ItemNotFound
from dserver_signed_url_plugin.filenames import Disposition, served_as
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.errors import RESTORE
from dserver_signed_url_plugin.storage.azure.layout import BLOBS, relpath_beside
from dserver_signed_url_plugin.storage.azure.sas import READ
from dserver_signed_url_plugin.storage.dataset_cache import NOTHING_KNOWN, KnownDataset
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.read_urls import (
    FOLDERS,
    DatasetSigner,
    item_relpath,
    manifest_items,
    read_urls,
)
from dserver_signed_url_plugin.storage.values import Item, Life, ReadURLs, SignedItems


class AzureReads:
    """Signs URLs to read datasets."""

    def __init__(self, azure: AzureConnection) -> None:
        self._azure = azure

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds."""
        return self._azure.life(seconds)

    def read_urls(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        items, signer = self.items(uuid, life, disposition, known), self._azure.signer(life.ends)
        listed = each(lambda folder: self._names(uuid, folder), FOLDERS)
        dataset = DatasetSigner(
            document=lambda name: signer.sign(READ, uuid, BLOBS[name]),
            described=lambda folder, name: signer.sign(READ, uuid, f"{folder}/{name}"),
        )
        return read_urls(items, listed, dataset)

    def items(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> SignedItems:
        """Sign GETs for the items of a dataset's manifest."""
        signer = self._azure.signer(life.ends)

        def sign(item: Item) -> str:
            served = served_as(item.relpath, disposition)
            return signer.sign(READ, uuid, item.identifier, served)

        return SignedItems(self._items(uuid, known), sign)

    def item_url(
        self,
        uuid: str,
        identifier: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> str:
        """Sign a GET for one item; unless it is known, after one HEAD, which has its relpath too.

        If its metadata was lost, the relpath is read from the manifest.
        """
        relpath = known.relpath(identifier)
        if relpath is None:
            found = self._azure.find(uuid, identifier)
            if found is None:
                raise ItemNotFound(identifier)
            relpath = item_relpath(
                identifier,
                found,
                lambda: self._azure.get(uuid, BLOBS["manifest"]),
                beside=relpath_beside,
                restore=RESTORE,
            )
            known.keep_relpath(identifier, relpath)
        served = served_as(relpath, disposition)
        return self._azure.signer(life.ends).sign(READ, uuid, identifier, served)

    def beginning(self, uuid: str, identifier: str, limit: int) -> bytes | None:
        """Return the first limit + 1 bytes of an item, as they are stored."""
        content = self._azure.get(uuid, identifier, limit)
        if content is None:
            raise ItemNotFound(identifier)
        return content

    def _items(self, uuid: str, known: KnownDataset) -> Mapping[str, Item]:
        blob = uuid, BLOBS["manifest"]
        return manifest_items(
            uuid, known, lambda: self._azure.find(*blob), lambda: self._azure.get_with_etag(*blob)
        )

    def _names(self, uuid: str, folder: str) -> list[str]:
        """Return the names of overlays, annotations or tags."""
        prefix = f"{folder}/"
        found = self._azure.listing(uuid, prefix)
        return [blob.name.removeprefix(prefix) for blob in found if not blob.is_folder]
