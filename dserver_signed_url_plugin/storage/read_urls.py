"""Signing URLs for all of a dataset, by its items and a listing of what describes it.

The same for every store: how one URL is signed is up to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.errors import ItemArchived, ItemBeingRestored, SignedURLError
from dserver_signed_url_plugin.storage.documents import DESCRIPTION, description_names, tag_names
from dserver_signed_url_plugin.storage.values import ReadURLs, SignedItems

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


def archived_item(identifier: str, restore: str, *, is_being_restored: bool) -> SignedURLError:
    """Return the error for an item that the store keeps in an archive.

    :param restore: the command or the means that restores it.
    """
    what = f"Item {identifier}"
    return ItemBeingRestored(what) if is_being_restored else ItemArchived(what, restore)
