"""Signed GETs for all of a dataset, out of its manifest and of what a listing names.

Knows what a reader is given; how a URL is signed is known by the storage that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.storage.documents import DESCRIPTION, description_names, tag_names
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.values import ReadURLs

KINDS = ("overlays", "annotations", "tags")


@dataclass(frozen=True)
class Signing:
    """How a storage signs GETs.

    A document is named, an item has identifier and relpath, a description a kind and a file's name.
    """

    document: Callable[[str], str]
    item: Callable[[str, str], str]
    description: Callable[[str, str], str]


def read_urls(manifest: Manifest, listed: Sequence[Iterable[str]], sign: Signing) -> ReadURLs:
    """Sign all of a dataset; items are those of its manifest.

    :param listed: for each of KINDS the names of objects that a listing found.
    """
    overlays, annotations, tags = listed

    def urls(kind: str, names: Iterable[str]) -> dict[str, str]:
        return {
            name: sign.description(kind, f"{name}{DESCRIPTION}")
            for name in description_names(names)
        }

    return ReadURLs(
        admin_metadata=sign.document("admin_metadata"),
        manifest=sign.document("manifest"),
        readme=sign.document("readme"),
        items={
            identifier: sign.item(identifier, relpath)
            for identifier, relpath in manifest.relpaths.items()
        },
        overlays=urls("overlays", overlays),
        annotations=urls("annotations", annotations),
        tags=tag_names(tags),
        relpaths=manifest.relpaths,
        sizes=manifest.sizes,
    )
