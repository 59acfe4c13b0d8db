"""The fsspec file system ``dserver``, which reads ranges of items in place.

``fsspec.open("dserver://host/s3/bucket/uuid/relpath")`` needs the extra ``fsspec``.
"""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem

from dserver_client.client import Client
from dserver_client.errors import Refused, UsageError
from dserver_client.manifest import ManifestItem
from dserver_client.readable import ReadableDataset
from dserver_client.reading import buffered, read_range
from dserver_client.settings import Settings
from dserver_client.transfers.item_reader import ItemReader
from dserver_client.transfers.scheduler import Limit, run
from dserver_client.uris import SCHEME, parse, split_item

_CONNECTIONS = 16


class DserverFileSystem(AbstractFileSystem):
    """A read-only file system whose directories are datasets. Listings are cached.

    :param token: a token for dserver; by default the one in the settings, or that of the login. It
        is included when fsspec serializes the file system.
    """

    protocol = "dserver"

    def __init__(self, token: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._token = token
        self._clients: dict[str, Client] = {}
        self._datasets: dict[str, _Dataset] = {}
        self._lock = threading.Lock()
        # One for each dataset: a dserver that is slow delays its own datasets only.
        self._reading: dict[str, threading.Lock] = {}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002
        """List a dataset, or a directory in it."""
        path = self._strip_protocol(path)
        dataset, relpath = self._found(path)
        entries = dataset.children(relpath)
        if entries is None:
            entries = [dataset.info(relpath)]
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size in bytes and type and, for items, MD5 and modification time."""
        dataset, relpath = self._found(self._strip_protocol(path))
        return dataset.info(relpath)

    def modified(self, path: str) -> datetime:
        """Return the modification time of an item (UTC) according to the manifest."""
        return datetime.fromtimestamp(self.info(path)["mtime"], timezone.utc)

    def ukey(self, path: str) -> str:
        """Return the MD5 of an item, which identifies its contents."""
        return str(self.info(path).get("md5"))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget all listings."""
        self._datasets.clear()
        super().invalidate_cache(path)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return the bytes of an item, or of a range; negative positions count from the end."""
        dataset, relpath = self._found(self._strip_protocol(path))
        reader = dataset.reader(relpath)
        first, last, _step = slice(start, end).indices(reader.item.size_in_bytes)
        return read_range(reader, first, last) if first < last else b""

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Return the bytes of several ranges, which are fetched in parallel."""
        del max_gap
        count = len(paths)
        firsts = list(starts) if isinstance(starts, (list, tuple)) else [starts] * count
        lasts = list(ends) if isinstance(ends, (list, tuple)) else [ends] * count
        found: list[Any] = [b""] * count

        def fetch(number: int) -> None:
            try:
                found[number] = self.cat_file(paths[number], firsts[number], lasts[number])
            except Exception as error:
                if on_error != "return":
                    raise
                found[number] = error

        run((partial(fetch, number) for number in range(count)), Limit(start=_CONNECTIONS))
        return found

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BufferedReader:
        if mode != "rb":
            raise OSError(errno.EROFS, "Datasets are frozen: their items can only be read", path)
        dataset, relpath = self._found(path)
        return buffered(dataset.reader(relpath))

    def _found(self, path: str) -> tuple[_Dataset, str]:
        """Return the dataset of a path, and the relpath in it, which may be empty."""
        try:
            address, relpath = split_item(f"{SCHEME}{path}")
            with self._lock:
                reading = self._reading.setdefault(address, threading.Lock())
            with reading:
                dataset = self._datasets.get(address) or self._dataset(address)
                self._datasets[address] = dataset
            return dataset, relpath
        except UsageError as error:
            raise FileNotFoundError(errno.ENOENT, str(error), path) from error
        except Refused as refused:
            if refused.status != 404:
                raise
            raise FileNotFoundError(errno.ENOENT, str(refused), path) from refused

    def _dataset(self, address: str) -> _Dataset:
        settings = Settings.load(token=self._token)
        url = parse(address, settings).server_url
        with self._lock:
            if url not in self._clients:
                self._clients[url] = Client(url, self._token)
            client = self._clients[url]
        return _Dataset(address.removeprefix(SCHEME), client.dataset(address))


class _Dataset:
    """One dataset, with its items in directories."""

    def __init__(self, path: str, dataset: ReadableDataset) -> None:
        self._path = path
        self._http = dataset.http
        items = sorted(dataset.items(), key=lambda item: item.relpath)
        # Items that lie beside each other are often needed together: their URLs are signed so.
        self._urls = dataset.urls([item.identifier for item in items], Limit())
        self._items = {item.relpath: item for item in items}
        self._children: dict[str, dict[str, None]] = {"": {}}
        for relpath in self._items:
            for parent, child in _steps(relpath):
                self._children.setdefault(parent, {})[child] = None

    def children(self, relpath: str) -> list[dict[str, Any]] | None:
        """Return the contents of a directory, or None if it is not a directory."""
        found = self._children.get(relpath)
        return None if found is None else [self.info(child) for child in found]

    def info(self, relpath: str) -> dict[str, Any]:
        if relpath in self._children:
            return {"name": self._name(relpath), "size": 0, "type": "directory"}
        item = self._item(relpath)
        return {
            "name": self._name(relpath),
            "size": item.size_in_bytes,
            "type": "file",
            "md5": item.hash,
            "mtime": item.utc_timestamp,
        }

    def reader(self, relpath: str) -> ItemReader:
        return ItemReader(self._http, self._urls, self._item(relpath), Limit())

    def _item(self, relpath: str) -> ManifestItem:
        try:
            return self._items[relpath]
        except KeyError:
            name = self._name(relpath)
            raise FileNotFoundError(errno.ENOENT, "The dataset has no such item", name) from None

    def _name(self, relpath: str) -> str:
        return f"{self._path}/{relpath}" if relpath else self._path


def _steps(relpath: str) -> Iterator[tuple[str, str]]:
    """Yield each directory on the way to an item, and what of the way is in it."""
    segments = relpath.split("/")
    for depth in range(len(segments)):
        yield "/".join(segments[:depth]), "/".join(segments[: depth + 1])
