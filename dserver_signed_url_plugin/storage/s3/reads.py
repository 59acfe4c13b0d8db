"""Signing URLs to read the datasets of one bucket, after looking up what there is to read."""

from __future__ import annotations

from collections.abc import Mapping

from dserver_signed_url_plugin.errors import DatasetNotFound, ItemNotFound
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage.dataset_cache import NOTHING_KNOWN, KnownDataset
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.read_urls import (
    FOLDERS,
    DatasetSigner,
    item_relpath,
    manifest_items,
    read_urls,
)
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.errors import RESTORE
from dserver_signed_url_plugin.storage.s3.layout import Layout, relpath_beside, served
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.values import FoundObject, Item, Life, ReadURLs, SignedItems


class S3Reads:
    """Signs URLs to read datasets."""

    def __init__(self, s3: S3Connection, prefixes: DatasetPrefixes) -> None:
        self._s3, self._prefixes = s3, prefixes

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds, never past the credentials' end."""
        return self._s3.life(seconds)

    def read_urls(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        items, signer = self.items(uuid, life, disposition, known), self._s3.signer(life)
        layout = self._prefixes.of(uuid)
        listed = each(lambda folder: self._names(layout.folder(folder)), FOLDERS)
        dataset = DatasetSigner(
            document=lambda name: signer.sign("GET", layout.document(name)),
            described=lambda folder, name: signer.sign("GET", layout.folder(folder) + name),
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
        layout, items = self._manifest(uuid, known)
        signer, prefix = self._s3.signer(life), layout.items

        def sign(item: Item) -> str:
            query = served(item.relpath, disposition)
            return signer.sign("GET", prefix + item.identifier, query=query)

        return SignedItems(items, sign)

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
        layout, relpath = self._relpath(uuid, identifier, known)
        query = served(relpath, disposition)
        return self._s3.signer(life).sign("GET", layout.item(identifier), query=query)

    def beginning(self, uuid: str, identifier: str, limit: int) -> bytes | None:
        """Return the first limit + 1 bytes of an item, as they are stored."""
        for fresh in (False, True):
            layout = self._prefixes.of(uuid, fresh=fresh)
            content = self._s3.get(layout.item(identifier), limit)
            if content is not None:
                return content
        raise ItemNotFound(identifier)

    def _relpath(self, uuid: str, identifier: str, known: KnownDataset) -> tuple[Layout, str]:
        """Return the keys of a dataset, and the relpath of an item that can be read."""
        relpath = known.relpath(identifier)
        if relpath is not None:
            return self._prefixes.of(uuid), relpath
        layout, found = self._find(uuid, identifier)
        relpath = item_relpath(
            identifier,
            found,
            lambda: self._s3.get(layout.document("manifest")),
            beside=relpath_beside,
            restore=RESTORE,
        )
        known.keep_relpath(identifier, relpath)
        return layout, relpath

    def _manifest(self, uuid: str, known: KnownDataset) -> tuple[Layout, Mapping[str, Item]]:
        """Read the manifest where its dataset was last known to be, or else where it is."""
        layout = self._prefixes.of(uuid)
        try:
            return layout, self._items_at(layout, known)
        except DatasetNotFound:
            moved = self._prefixes.of(uuid, fresh=True)
            if moved == layout:
                raise
            return moved, self._items_at(moved, known)

    def _items_at(self, layout: Layout, known: KnownDataset) -> Mapping[str, Item]:
        key = layout.document("manifest")
        return manifest_items(
            layout.uuid, known, lambda: self._s3.find(key), lambda: self._s3.get_with_etag(key)
        )

    def _find(self, uuid: str, identifier: str) -> tuple[Layout, FoundObject]:
        """Find an item where its dataset was last known to be, and then where it is."""
        for fresh in (False, True):
            layout = self._prefixes.of(uuid, fresh=fresh)
            found = self._s3.find(layout.item(identifier))
            if found is not None:
                return layout, found
        raise ItemNotFound(identifier)

    def _names(self, folder: str) -> list[str]:
        return [key.removeprefix(folder) for key, _ in self._s3.listing(folder)]
