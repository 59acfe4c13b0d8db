"""Signing URLs to read the datasets of one bucket, after looking up what there is to read."""

from __future__ import annotations

from dserver_signed_url_plugin.errors import ItemNotFound
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage.manifest import Manifest, relpath_in
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.read_urls import (
    FOLDERS,
    DatasetSigner,
    archived_item,
    read_urls,
)
from dserver_signed_url_plugin.storage.s3.connection import FoundObject, S3Connection
from dserver_signed_url_plugin.storage.s3.errors import RESTORE
from dserver_signed_url_plugin.storage.s3.layout import Layout, relpath_beside, served
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.values import Life, ReadURLs, SignedItems


class S3Reads:
    """Signs URLs to read datasets."""

    def __init__(self, s3: S3Connection, prefixes: DatasetPrefixes) -> None:
        self._s3, self._prefixes = s3, prefixes

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds, never past the credentials' end."""
        return self._s3.life(seconds)

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        layout, signer = self._prefixes.of(uuid), self._s3.signer(life)
        listed = each(lambda folder: self._names(layout.folder(folder)), FOLDERS)
        dataset = DatasetSigner(
            document=lambda name: signer.sign("GET", layout.document(name)),
            described=lambda folder, name: signer.sign("GET", layout.folder(folder) + name),
        )
        return read_urls(self.items(uuid, life, disposition), listed, dataset)

    def items(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> SignedItems:
        """Sign GETs for the items of a dataset's manifest."""
        layout, signer = self._prefixes.of(uuid), self._s3.signer(life)
        manifest = Manifest.stored(self._s3.get(layout.document("manifest")), uuid)

        def sign(identifier: str, relpath: str) -> str:
            query = served(relpath, disposition)
            return signer.sign("GET", layout.item(identifier), query=query)

        return SignedItems(manifest.items, sign)

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Sign a GET for one item, after one HEAD, which has its relpath too.

        If its metadata was lost, the relpath is read from the manifest.
        """
        layout, found = self._find(uuid, identifier)
        if found.is_archived:
            raise archived_item(identifier, RESTORE, is_being_restored=found.is_being_restored)
        relpath = relpath_beside(identifier, found.metadata)
        if relpath is None:
            relpath = relpath_in(self._s3.get(layout.document("manifest")), identifier)
        query = served(relpath, disposition)
        return self._s3.signer(life).sign("GET", layout.item(identifier), query=query)

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
