"""Signing URLs for all of a dataset, by its items and a listing of what describes it.

The same for every store: how one URL is signed is up to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.errors import ItemArchived, ItemBeingRestored
from dserver_signed_url_plugin.storage.dataset_cache import KnownDataset
from dserver_signed_url_plugin.storage.documents import DESCRIPTION, description_names, tag_names
from dserver_signed_url_plugin.storage.manifest import relpath_in, stored_items
from dserver_signed_url_plugin.storage.values import FoundObject, Item, ReadURLs, SignedItems

FOLDERS = ("overlays", "annotations", "tags")


@dataclass(frozen=True)
class DatasetSigner:
    """Signs GETs of what describes one dataset.

    A document is given by name, an overlay or annotation by folder and file name.
    """

    document: Callable[[str], str]
    described: Callable[[str, str], str]


def read_urls(
    items: SignedItems, listed: Sequence[Iterable[str]], signer: DatasetSigner
) -> ReadURLs:
    """Sign all of a dataset.

    :param listed: the names of objects in each of FOLDERS.
    """
    overlays, annotations, tags = listed

    def urls(folder: str, names: Iterable[str]) -> dict[str, str]:
        return {
            name: signer.described(folder, f"{name}{DESCRIPTION}")
            for name in description_names(names)
        }

    return ReadURLs(
        admin_metadata=signer.document("admin_metadata"),
        manifest=signer.document("manifest"),
        readme=signer.document("readme"),
        items=items,
        overlays=urls("overlays", overlays),
        annotations=urls("annotations", annotations),
        tags=tag_names(tags),
    )


def manifest_items(
    uuid: str,
    known: KnownDataset,
    find: Callable[[], FoundObject | None],
    read: Callable[[], tuple[bytes | None, str]],
) -> Mapping[str, Item]:
    """Return the items of a dataset's manifest, which is read only if it has changed.

    :param known: what is cached of the dataset, which is updated.
    :param find: looks the manifest up.
    :param read: returns the manifest, or None if there is none, and its ETag; empty if that does
        not follow from the bytes.
    :raises DatasetNotFound: if there is no manifest.
    """
    cached = known.manifest
    if cached is not None:
        found = find()
        if found is not None and not found.is_archived and found.etag == cached.etag:
            known.keep(cached.items, cached.etag)
            return cached.items
    content, current = read()
    items = stored_items(content, uuid)
    if current:
        known.keep(items, current)
    return items


def item_relpath(
    identifier: str,
    found: FoundObject,
    manifest: Callable[[], bytes | None],
    *,
    beside: Callable[[str, Mapping[str, str]], str | None],
    restore: str,
) -> str:
    """Return the relpath of an item that was looked up; if its metadata was lost, of the manifest.

    :param manifest: reads the stored manifest.
    :param beside: reads the relpath from the item's metadata, given its identifier.
    :param restore: the command or the means that restores an archived item.
    :raises ItemArchived: or ItemBeingRestored, if the item cannot be read.
    """
    if found.is_archived:
        what = f"Item {identifier}"
        raise ItemBeingRestored(what) if found.is_being_restored else ItemArchived(what, restore)
    relpath = beside(identifier, found.metadata)
    return relpath_in(manifest(), identifier) if relpath is None else relpath
