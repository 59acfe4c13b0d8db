"""Items of a frozen dataset: in dtool's cache directory, and as the store has them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from dserver_client.broker.cached_files import CachedFiles
from dserver_client.broker.read_ahead import Done, ReadAhead
from dserver_client.broker.stored_size import stored_size
from dserver_client.file_lock import FileLock, Locked
from dserver_client.manifest import ManifestItem
from dserver_client.private_files import make_private_directory
from dserver_client.server import Server
from dserver_client.transfers.fetching import Fetching
from dserver_client.transfers.item_reader import ItemReader, ObjectDiffers
from dserver_client.transfers.item_urls import ItemURLs
from dserver_client.transfers.scheduler import Limit, run

# Programs look at extensions; others than these may be more than a file system can hold.
_is_safe = re.compile(r"\.[\w-]{1,32}").fullmatch
_STATE = ".dserver-fetch"


class Items:
    """The items of one dataset.

    :param uri: the dataset's URI in the store.
    :param items: all of them, in the order of the manifest.
    :param directory: dtool's cache directory for this dataset; dtool's other storage brokers name
        items in the same way.
    """

    def __init__(
        self, server: Server, uri: str, items: Sequence[ManifestItem], directory: Path
    ) -> None:
        self._server = server
        self._uri = uri
        self._items = items
        self._directory = directory
        # One for each: a limit is used by one run of tasks at a time.
        self._fetch_limit, self._hash_limit, self._compare_limit = Limit(), Limit(), Limit()
        self._cached = CachedFiles()
        self._paths = ReadAhead(items, self._fetch)
        self._hashes = ReadAhead(items, self._hash)
        self._urls_of_all: _URLs | None = None

    def path(self, identifier: str) -> Path:
        """Return where an item lies, compared with its MD5; fetch it if it is not there.

        :raises ClientError: if it cannot be fetched.
        """
        return self._paths.get(identifier)

    def hash(self, identifier: str) -> str | None:
        """Return the MD5 of what the store has of an item; None if that is something else.

        :raises ClientError: if it cannot be read.
        """
        return self._hashes.get(identifier)

    def _fetch(self, items: Sequence[ManifestItem], done: Done[Path]) -> None:
        wrong = self._compare(items, done)
        if not wrong:
            return
        missing = {item.identifier: (item, self._path(item)) for item in wrong}
        urls = self._urls(list(missing))

        def fetched(identifier: str) -> None:
            item, path = missing[identifier]
            self._cached.note(path)
            done(item, path)

        urls.on_done = fetched
        with self._state() as state:
            fetching = Fetching(self._server.http, urls, state, limit=self._fetch_limit)
            fetching.fetch([(item, str(path)) for item, path in missing.values()])

    def _compare(self, items: Sequence[ManifestItem], done: Done[Path]) -> Sequence[ManifestItem]:
        """Compare what is cached, unless it was before; return the items that are to be fetched."""
        right: set[str] = set()

        def compare(item: ManifestItem, path: Path) -> None:
            if self._cached.is_right(path, item, self._compare_limit.check):
                right.add(item.identifier)
                done(item, path)

        tasks = []
        for item in items:
            path = self._path(item)
            if self._cached.is_known(path):
                right.add(item.identifier)
                done(item, path)
            elif path.exists():
                tasks.append(partial(compare, item, path))
        if tasks:
            run(tasks, self._compare_limit)
        return [item for item in items if item.identifier not in right]

    def _hash(self, items: Sequence[ManifestItem], done: Done[str | None]) -> None:
        urls = self._urls([item.identifier for item in items])
        run((partial(self._hash_one, urls, item, done) for item in items), self._hash_limit)

    def _hash_one(
        self,
        urls: ItemURLs,
        item: ManifestItem,
        done: Done[str | None],
    ) -> None:
        try:
            md5 = ItemReader(self._server.http, urls, item, self._hash_limit).md5()
        except ObjectDiffers:
            done(item, None)
        else:
            done(item, md5)

    def stored_sizes(self) -> dict[str, int]:
        """Return how many bytes the store has of each item, by relpath; without those it has not.

        Only their first bytes are read, many at the same time.

        :raises ClientError: if the store cannot be asked.
        """
        urls = self._urls([item.identifier for item in self._items])
        found: dict[str, int] = {}

        def ask(item: ManifestItem) -> None:
            size = stored_size(self._server.http, urls, item)
            if size is not None:
                found[item.relpath] = size

        run(partial(ask, item) for item in self._items)
        return {item.relpath: found[item.relpath] for item in self._items if item.relpath in found}

    def _urls(self, identifiers: list[str]) -> _URLs:
        if self._server.capabilities().items:
            return _URLs(self._server, self._uri, identifiers)
        if self._urls_of_all is None:
            everything = [item.identifier for item in self._items]
            self._urls_of_all = _URLs(self._server, self._uri, everything)
        return self._urls_of_all

    @contextmanager
    def _state(self) -> Iterator[Path]:
        """Yield a directory for what is not complete, the one of earlier fetches if it is free."""
        make_private_directory(self._directory)
        state = self._directory / _STATE
        try:
            with FileLock(self._directory / f"{_STATE}.lock"):
                make_private_directory(state)
                try:
                    yield state
                finally:
                    with suppress(OSError):
                        # It stays if anything is left in it.
                        state.rmdir()
        except Locked:
            # Another program fetches items of the same dataset.
            with TemporaryDirectory(dir=self._directory, prefix=_STATE) as own:
                yield Path(own)

    def _path(self, item: ManifestItem) -> Path:
        extension = os.path.splitext(item.relpath)[1]
        if not _is_safe(extension):
            extension = ""
        return self._directory / f"{item.identifier}{extension}"


class _URLs(ItemURLs):
    """URLs of items that tell when an item is there."""

    on_done: Callable[[str], None] | None = None

    def done(self, identifier: str) -> None:
        super().done(identifier)
        if self.on_done is not None:
            self.on_done(identifier)
