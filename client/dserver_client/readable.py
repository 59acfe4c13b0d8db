"""Datasets that can be read: registered ones, with an account, and those behind a link, without."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import NoReturn, Protocol

from dserver_client.documents import Documents, read_documents, read_manifest
from dserver_client.errors import ClientError, Refused, UsageError
from dserver_client.http import HTTP
from dserver_client.links import ShareLink
from dserver_client.manifest import ManifestItem, parse_items
from dserver_client.process_lock import ProcessLock
from dserver_client.server import Server
from dserver_client.server.answers import MALFORMED
from dserver_client.server.link import Link
from dserver_client.transfers.fetching import FetchURLs
from dserver_client.transfers.item_reader import ItemReader
from dserver_client.transfers.item_urls import ItemURLs
from dserver_client.transfers.link_urls import LinkURLs
from dserver_client.transfers.partial import PART_SIZE
from dserver_client.transfers.scheduler import Limit
from dserver_client.values import MAX_SIZE, SharedContents


class ReadableDataset(Protocol):
    """A dataset that can be read."""

    @property
    def http(self) -> HTTP:
        """The connections for it."""

    @property
    def uri(self) -> str:
        """How results and messages name it."""

    @property
    def part_size(self) -> int:
        """The size in bytes from which items are fetched in parts, and of the parts."""

    def uuid(self) -> str:
        """Return its UUID."""

    def name(self) -> str:
        """Return the name that its owner gave it."""

    def items(self) -> list[ManifestItem]:
        """Return its items, in the order of the manifest.

        :raises Refused: if there is no such dataset, or it may not be read.
        """

    def documents(self) -> Documents:
        """Return the documents that describe it.

        :raises UsageError: if they cannot be had.
        """

    def urls(self, identifiers: Sequence[str], limit: Limit) -> FetchURLs:
        """Return what signs the URLs of some items, in the order in which they are needed."""

    def reader(self, relpath: str) -> ItemReader:
        """Return what reads ranges of an item.

        :raises Refused: with status 404 if there is no such item.
        """


class RegisteredDataset:
    """A dataset that a dserver has registered, read by a user with an account."""

    part_size = PART_SIZE

    def __init__(self, server: Server, uri: str) -> None:
        self.http, self.uri = server.http, uri
        self._server = server

    def uuid(self) -> str:
        return self.uri.rpartition("/")[2]

    def name(self) -> str:
        return self._server.entry(self.uri).name

    def items(self) -> list[ManifestItem]:
        return read_manifest(self._server, self.uri)

    def documents(self) -> Documents:
        return read_documents(self.http, self._server.dataset_urls(self.uri))

    def urls(self, identifiers: Sequence[str], limit: Limit) -> ItemURLs:
        del limit
        return ItemURLs(self._server, self.uri, identifiers)

    def reader(self, relpath: str) -> ItemReader:
        identifier = hashlib.sha1(relpath.encode(), usedforsecurity=False).hexdigest()
        signed = self._server.sign_items(self.uri, [identifier]).get(identifier)
        if signed is None or signed.item.size_in_bytes is None:
            raise _no_item(self.uri, relpath)
        item = ManifestItem(identifier, relpath, signed.item.size_in_bytes, signed.item.hash)
        return ItemReader(self.http, _ItemURL(self._server, self.uri, signed.url), item, Limit())


class SharedDataset:
    """What is behind the link of a share, read by anybody. ``contents`` is asked for once."""

    def __init__(self, http: HTTP, link: ShareLink) -> None:
        self.http, self.uri = http, str(link)
        self._link, self._identifier = Link(http, link), link.identifier

    @cached_property
    def contents(self) -> SharedContents:
        """What the link gives access to.

        :raises Refused: if there is no such link, or it has ended.
        """
        return self._link.contents()

    @property
    def part_size(self) -> int:
        # Each URL counts as a download, and parts may outlive it.
        return PART_SIZE if self.contents.downloads_left is None else MAX_SIZE

    def uuid(self) -> str:
        return self.contents.uuid

    def name(self) -> str:
        return self.contents.name

    def items(self) -> list[ManifestItem]:
        try:
            found = parse_items(self.contents.items)
        except MALFORMED as error:
            raise ClientError(f"What {self.uri} says of its items cannot be read.") from error
        if self._identifier is None:
            return found
        if chosen := [item for item in found if item.identifier == self._identifier]:
            return chosen
        raise Refused(f"{self.uri} has no such item.", 404, "item-not-found", {})

    def documents(self) -> NoReturn:
        raise UsageError(
            "A link gives access to files only: a dataset that dtool reads is fetched by its URI, "
            "with an account."
        )

    def urls(self, identifiers: Sequence[str], limit: Limit) -> LinkURLs:
        """Return what signs URLs, if the link still allows so many downloads."""
        contents = self.contents
        left = contents.downloads_left
        # Empty files are not downloaded.
        needed = sum(1 for each in identifiers if contents.items[each]["size_in_bytes"])
        if left is not None and left < needed:
            raise UsageError(
                f"{self.uri} allows {left} more downloads, and {needed} files are to be fetched: "
                "choose some with --item (in Python: items=[…])."
            )
        return LinkURLs(self._link, limit)

    def reader(self, relpath: str) -> ItemReader:
        for item in self.items():
            if item.relpath == relpath:
                limit = Limit()
                return ItemReader(self.http, LinkURLs(self._link, limit), item, limit)
        raise _no_item(self.uri, relpath)


class _ItemURL:
    """The URL of one item of a registered dataset."""

    renewals = ItemURLs.renewals

    def __init__(self, server: Server, uri: str, url: str) -> None:
        self._server = server
        self._uri = uri
        self._url = url
        self._lock = ProcessLock()

    def get(self, identifier: str) -> str:
        del identifier
        return self._url

    def renewed(self, identifier: str, refused: str) -> str:
        with self._lock:
            if self._url == refused:
                self._url = self._server.sign_item(self._uri, identifier)
            return self._url


def _no_item(uri: str, relpath: str) -> Refused:
    return Refused(f"{uri} has no item {relpath!r}.", 404, "item-not-found", {})
