"""A frozen dataset, read with signed URLs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dserver_client.broker.entries import ENTRIES
from dserver_client.broker.errors import BrokerError, NoSuchEntry
from dserver_client.broker.items import Items
from dserver_client.broker.names import check_name
from dserver_client.errors import NotSupported
from dserver_client.manifest import ManifestItem, parse_manifest
from dserver_client.server import Server
from dserver_client.store_answers import whole_document
from dserver_client.values import DatasetURLs

# A command of dtool makes several brokers for one URI in a moment: they share what dserver says.
_SNAPSHOT_SECONDS = 5.0
_EXPIRED = frozenset({401, 403, 410})


class FrozenDataset:
    """One frozen dataset. Its manifest and admin metadata never change, all else may.

    :param uri: its URI in the store.
    :param shown: its ``dserver://`` URI, for messages.
    :param cache_directory: dtool's, for all datasets.
    """

    def __init__(self, server: Server, uri: str, shown: str, cache_directory: Path) -> None:
        self._server = server
        self._uri = uri
        self._shown = shown
        self._cache_directory = cache_directory
        self._snapshot: tuple[float, DatasetURLs] | None = None
        self._admin_metadata: dict[str, Any] | None = None
        self._manifest: dict[str, Any] | None = None
        self._described: dict[str, ManifestItem] = {}
        self._items: Items | None = None
        self._stored: tuple[float, dict[str, int]] | None = None

    def check(self) -> None:
        """Ask dserver for the dataset.

        :raises Refused: with status 404 if there is none, 403 without permission.
        """
        self._urls()

    def admin_metadata(self) -> dict[str, Any]:
        if self._admin_metadata is None:
            self._admin_metadata = self._json(lambda urls: urls.admin_metadata_url)
        # dtool changes what it is given.
        return dict(self._admin_metadata)

    def manifest(self) -> dict[str, Any]:
        if self._manifest is None:
            content = self._document(lambda urls: urls.manifest_url)
            self._described = {item.relpath: item for item in parse_manifest(content)}
            self._manifest = json.loads(content)
        return self._manifest

    def readme(self) -> str:
        """Return the README, with replacement characters for what is not UTF-8."""
        return self._document(lambda urls: urls.readme_url).decode(errors="replace")

    # Tags, annotations and overlays

    def names(self, kind: str) -> list[str]:
        return list(_entries(self._urls(), kind))

    def get(self, kind: str, name: str) -> Any:
        def url(urls: DatasetURLs) -> str:
            try:
                return _entries(urls, kind)[name]
            except KeyError:
                raise NoSuchEntry(f"{self._shown} has no {ENTRIES[kind]} {name!r}.") from None

        return self._json(url)

    # Items

    def relpaths(self) -> list[str]:
        """Return the items that the store has: dtool verifies by them."""
        if self._stored is None or time.monotonic() - self._stored[0] > _SNAPSHOT_SECONDS:
            sizes = self._all().stored_sizes()
            self._stored = (time.monotonic(), sizes)
        return list(self._stored[1])

    def size_in_bytes(self, relpath: str) -> int:
        """Return the size that an item has in the store, when the store was asked last."""
        if self._stored is None:
            self.relpaths()
        sizes = {} if self._stored is None else self._stored[1]
        try:
            return sizes[relpath]
        except KeyError:
            raise NoSuchEntry(f"{self._shown} has no item {relpath!r} in the store.") from None

    def utc_timestamp(self, relpath: str) -> float | None:
        return self._item(relpath).utc_timestamp

    def hash(self, relpath: str) -> str | None:
        """Return the MD5 that an item has in the store; None if it has not the manifest's size."""
        return self._all().hash(self._item(relpath).identifier)

    def item_path(self, identifier: str) -> Path:
        """Return where an item lies in dtool's cache directory; fetch it if it does not yet."""
        return self._all().path(identifier)

    def _all(self) -> Items:
        self.manifest()
        if self._items is None:
            directory = self._cache_directory / self._uri.rpartition("/")[2]
            described = list(self._described.values())
            self._items = Items(self._server, self._uri, described, directory)
        return self._items

    def _item(self, relpath: str) -> ManifestItem:
        self.manifest()
        try:
            return self._described[relpath]
        except KeyError:
            raise NoSuchEntry(f"{self._shown} has no item {relpath!r}.") from None

    # Changes, which few dservers have routes for

    def put_readme(self, content: str) -> None:
        with self._changing():
            self._server.write_readme(self._uri, content)

    def put(self, kind: str, name: str, value: object) -> None:
        """Set a tag or an annotation.

        :raises NotSupported: if dserver cannot.
        """
        check_name(ENTRIES[kind], name)
        with self._changing():
            if kind == "tags":
                self._server.add_tag(self._uri, name)
            elif kind == "annotations":
                self._server.write_annotation(self._uri, name, value)
            else:
                raise NotSupported(f"No dserver can change {kind}.")

    def delete(self, kind: str, name: str) -> None:
        """Delete a tag.

        :raises NotSupported: if dserver cannot.
        """
        if name not in self.names(kind):
            raise NoSuchEntry(f"{self._shown} has no {ENTRIES[kind]} {name!r}.")
        with self._changing():
            if kind != "tags":
                raise NotSupported(f"No dserver can delete {kind}.")
            self._server.delete_tag(self._uri, name)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            yield
        except NotSupported as error:
            raise NotSupported(
                f"{error} {self._shown} is frozen and was not changed: README, tags, annotations "
                "and overlays are set before `dtool freeze`, or by people with keys to the store."
            ) from error
        finally:
            self._snapshot = None

    # Documents

    def _json(self, url: Callable[[DatasetURLs], str]) -> Any:
        try:
            return json.loads(self._document(url))
        except (ValueError, RecursionError) as error:
            raise BrokerError(f"The store answered for {self._shown} with no JSON.") from error

    def _document(self, url: Callable[[DatasetURLs], str]) -> bytes:
        """Get a document by its URL, which is signed anew if the store no longer accepts it."""
        response = self._server.http.request("GET", url(self._urls()))
        if response.status in _EXPIRED:
            self._snapshot = None
            response = self._server.http.request("GET", url(self._urls()))
        return whole_document(response, self._shown)

    def _urls(self) -> DatasetURLs:
        now = time.monotonic()
        if self._snapshot is None or now - self._snapshot[0] > _SNAPSHOT_SECONDS:
            self._snapshot = (now, self._server.dataset_urls(self._uri))
        return self._snapshot[1]


def _entries(urls: DatasetURLs, kind: str) -> dict[str, str]:
    if kind == "tags":
        return dict.fromkeys(urls.tags, "")
    return urls.annotation_urls if kind == "annotations" else urls.overlay_urls
