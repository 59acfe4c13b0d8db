"""Read what describes a dataset: manifest, README, administrative metadata, annotations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from dserver_client.errors import ClientError
from dserver_client.http import HTTP
from dserver_client.manifest import ManifestItem, parse_manifest
from dserver_client.server import Server
from dserver_client.store_answers import whole_document
from dserver_client.values import DatasetURLs


@dataclass(frozen=True)
class Documents:
    """All of them, each in the bytes that the store has: JSON, but for the README.

    Overlays and annotations have been parsed; a README need not be text in UTF-8.
    """

    admin_metadata: bytes = field(repr=False)
    manifest: bytes = field(repr=False)
    readme: bytes = field(repr=False)
    overlays: Mapping[str, bytes] = field(repr=False)
    annotations: Mapping[str, bytes] = field(repr=False)
    tags: list[str]


def read_manifest(server: Server, uri: str) -> list[ManifestItem]:
    """Return the items of a dataset.

    :raises Refused: with status 403 or 404, or 501 where the storage cannot sign.
    """
    return parse_manifest(_read(server.http, server.dataset_urls(uri).manifest_url, "manifest"))


def read_documents(http: HTTP, urls: DatasetURLs) -> Documents:
    """Return the documents of a dataset.

    :raises StoreRefused: if the store does not hand one out.
    :raises Unavailable: if something else answers in the store's place.
    :raises ClientError: if an overlay or an annotation is no JSON.
    """
    return Documents(
        admin_metadata=_read(http, urls.admin_metadata_url, "administrative metadata"),
        manifest=_read(http, urls.manifest_url, "manifest"),
        readme=_read(http, urls.readme_url, "README"),
        overlays=_read_all(http, urls.overlay_urls, "overlay"),
        annotations=_read_all(http, urls.annotation_urls, "annotation"),
        tags=urls.tags,
    )


def _read_all(http: HTTP, urls: Mapping[str, str], kind: str) -> dict[str, bytes]:
    return {name: _read_json(http, url, f"{kind} {name!r}") for name, url in urls.items()}


def _read_json(http: HTTP, url: str, what: str) -> bytes:
    content = _read(http, url, what)
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ClientError(f"The dataset's {what} cannot be read: it is no JSON.") from error
    return content


def _read(http: HTTP, url: str, what: str) -> bytes:
    return whole_document(http.request("GET", url), f"the dataset's {what}")
