"""Letting a storage broker sign URLs to read datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dserver_signed_url_plugin.errors import DatasetNotFound, ItemNotFound
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage.broker.connection import BrokerConnection, item_key
from dserver_signed_url_plugin.storage.dataset_cache import NOTHING_KNOWN, KnownDataset
from dserver_signed_url_plugin.storage.documents import is_name, tag_names
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.values import Item, Life, ReadURLs, SignedItems


class BrokerReads:
    """Lets a broker sign URLs to read datasets; its methods have no parameter for file names."""

    may_hang = True

    def __init__(self, broker: BrokerConnection) -> None:
        self._broker = broker

    def life(self, seconds: int) -> Life:
        """Return a life from now on: the broker signs a moment later."""
        return Life.from_now(seconds, seconds)

    def read_urls(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> ReadURLs:
        """Let the broker sign all of a dataset."""
        with self._broker.of(uuid) as broker:
            if not broker.has_admin_metadata():
                raise DatasetNotFound("Storage", uuid)
            urls = broker.generate_dataset_signed_urls(expiry_seconds=life.seconds)
            return ReadURLs(
                admin_metadata=urls["admin_metadata_url"],
                manifest=urls["manifest_url"],
                readme=urls["readme_url"],
                items=_items(urls["item_urls"], broker.get_manifest()),
                overlays=_named(urls.get("overlay_urls", {})),
                annotations=_named(urls.get("annotation_urls", {})),
                tags=tag_names(urls.get("tags", ())),
            )

    def items(
        self,
        uuid: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> SignedItems:
        """Let the broker sign all of a dataset, because it may fail where it signs single items."""
        return self.read_urls(uuid, life, disposition).items

    def item_url(
        self,
        uuid: str,
        identifier: str,
        life: Life,
        disposition: Disposition = "attachment",
        known: KnownDataset = NOTHING_KNOWN,
    ) -> str:
        """Let the broker sign one item, if the manifest has it."""
        with self._broker.of(uuid) as broker:
            if known.relpath(identifier) is None:
                if identifier not in broker.get_manifest()["items"]:
                    raise ItemNotFound(identifier)
                known.keep_relpath(identifier, "")
            key = item_key(broker, identifier)
            return str(broker.generate_signed_read_url(key, expiry_seconds=life.seconds))

    def beginning(self, uuid: str, identifier: str, limit: int) -> bytes | None:
        """Return None: a broker reads an item only by saving all of it as a file."""
        return None


def _items(urls: Mapping[str, str], manifest: Mapping[str, Any]) -> SignedItems:
    """Return the items that the broker has signed, as far as known from the manifest."""
    known = Manifest.from_dict(manifest).items
    entries = {
        identifier: known.get(identifier) or Item(identifier, identifier) for identifier in urls
    }
    return SignedItems(entries, lambda item: urls[item.identifier])


def _named(urls: Mapping[str, str]) -> dict[str, str]:
    """Leave out what cannot be a name, such as that of a folder."""
    return {name: url for name, url in urls.items() if is_name(name)}
