"""Send the files of a deposit until all are stored, renewing signed URLs as they expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from dserver_client.errors import StoreRefused
from dserver_client.local_files import LocalFile
from dserver_client.progress import Progress
from dserver_client.server import Server
from dserver_client.transfers.bodies import SMALL, FileRange, read_whole
from dserver_client.transfers.hashing import md5_of_range
from dserver_client.transfers.parts import ItemInParts, PartContext
from dserver_client.transfers.scheduler import Limit, Task, run
from dserver_client.transfers.store import SignAnew, Store, usable_until
from dserver_client.values import ItemToSend, UploadGrant

# After so many rounds in which nothing was stored, the store is believed.
_FRUITLESS_ROUNDS = 3
# After so many refusals in a row, all URLs are signed anew.
_REFUSALS = 16
# Azure demands it for every blob.
_BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


class Sending:
    """Sends what dserver grants, and counts.

    :param files: by identifier.
    :param stored: identifiers of items that the store has acknowledged before.
    :param acknowledged: is called with the identifier of each item that was sent in one PUT and
        that the store has acknowledged, from any thread.
    """

    def __init__(
        self,
        server: Server,
        files: Mapping[str, LocalFile],
        stored: Collection[str],
        readme: bytes | None,
        progress: Progress,
        limit: Limit,
        acknowledged: Callable[[str], None],
    ) -> None:
        self._server, self._files, self._readme = server, files, readme
        self._progress, self._limit, self._acknowledged = progress, limit, acknowledged
        self._store = Store(server.http, limit)
        self._left = set(files)
        self._in_parts: dict[str, ItemInParts] = {}
        self._count_stored(self._left.intersection(stored))
        # Guards the counts.
        self._lock = threading.Lock()
        self._requests = 0
        self._refusals_in_row = 0
        self._is_round_over = False
        self._last_refusal = ""
        self.sent_in_bytes = 0
        self.items_sent = 0

    def send(self, grant: UploadGrant, renew: Callable[[], UploadGrant | None]) -> None:
        """Send until the store has everything.

        :param renew: returns a grant for what is not stored, or None if nothing is left to send.
        :raises StoreRefused: if URLs that were just signed are refused, again and again.
        """
        self._take(grant)
        fruitless = 0
        while True:
            before = self._requests
            self._send_round(grant)
            if not self._left and self._readme is None:
                return
            fruitless = 0 if self._requests > before else fruitless + 1
            if fruitless == _FRUITLESS_ROUNDS:
                raise StoreRefused(
                    f"The store refuses {self._last_refusal}. 'dserver doctor' looks for the cause."
                )
            renewed = renew()
            if renewed is None:
                return
            grant = renewed
            self._take(grant)

    def send_again(self, identifiers: Iterable[str]) -> None:
        """Count items as not stored, which the store does not have although it took them."""
        for identifier in identifiers:
            if identifier not in self._left:
                self._left.add(identifier)
                self._progress.advance(-self._counted_size(identifier), -1)

    def _take(self, grant: UploadGrant) -> None:
        """Learn from a grant what is stored: what it leaves out."""
        self._count_stored(self._left - grant.items.keys())

    def _count_stored(self, identifiers: Iterable[str]) -> None:
        for identifier in identifiers:
            self._left.discard(identifier)
            self._progress.advance(self._counted_size(identifier), 1)

    def _counted_size(self, identifier: str) -> int:
        """Return the bytes that count with an item; parts are counted one by one."""
        return 0 if identifier in self._in_parts else self._files[identifier].size_in_bytes

    def _send_round(self, grant: UploadGrant) -> None:
        """Send everything that is left, until URLs end or are refused."""
        self._is_round_over = False
        self._refusals_in_row = 0
        run(self._tasks(grant), self._limit)
        for identifier, item in self._in_parts.items():
            if item.is_stored and identifier in self._left:
                self._left.discard(identifier)
                self._progress.advance(0, 1)

    def _tasks(self, grant: UploadGrant) -> Iterator[Task]:
        """Return tasks: the small items first, whose number matters, then parts."""
        if self._readme is not None:
            readme = partial(self._send_readme, grant, self._readme)
            yield partial(self._attempt, readme, "the README")
        ends = usable_until(grant.expires)
        in_parts = []
        for item in grant.items.values():
            if self._is_round_over or time.monotonic() > ends:
                return
            if item.identifier not in self._left:
                continue
            if item.url is None:
                in_parts.append(self._parts_of(grant.uri, item))
                continue
            whole = partial(self._send_whole, item, item.url)
            yield partial(self._attempt, whole, item.relpath)
        yield from self._part_tasks(in_parts)

    def _part_tasks(self, in_parts: Sequence[ItemInParts]) -> Iterator[Task]:
        for number, item in enumerate(in_parts, 1):
            # A file that has to be read once more is read while the one before it is sent.
            for following in in_parts[number : number + 1]:
                yield following.prepare
            for part in item.tasks():
                yield partial(self._attempt, part, item.relpath)

    def _parts_of(self, uri: str, item: ItemToSend) -> ItemInParts:
        if item.identifier not in self._in_parts:
            context = PartContext(
                self._server, self._store, self._limit, uri, self._on_their_way, self._sent
            )
            file = self._files[item.identifier]
            self._in_parts[item.identifier] = ItemInParts(context, item, file)
        return self._in_parts[item.identifier]

    def _attempt(self, task: Task, what: str) -> None:
        """Run a task; what the store refuses is sent again in the next round."""
        try:
            task()
        except SignAnew as refusal:
            with self._lock:
                self._last_refusal = f"{what}: {refusal.reason}"
                self._refusals_in_row += 1
                self._is_round_over |= self._refusals_in_row >= _REFUSALS

    def _send_whole(self, item: ItemToSend, url: str) -> None:
        """Send an item in one PUT."""
        file = self._files[item.identifier]
        size = file.size_in_bytes
        # A URL that is not pinned takes any bytes.
        md5 = None if "Content-MD5" in item.headers else file.md5
        try:
            if size <= SMALL:
                self._store.put(url, item.headers, read_whole(file, md5), size, item.relpath)
                self._on_their_way(size)
            else:
                self._send_stream(url, item, file, md5)
        except SignAnew as refusal:
            if refusal.is_of_bytes and md5_of_range(file, 0, size, self._limit) != file.md5:
                raise file.changed() from None
            raise
        self._sent(size)
        with self._lock:
            self.items_sent += 1
            self._left.discard(item.identifier)
        self._progress.advance(0, 1)
        self._acknowledged(item.identifier)

    def _send_stream(self, url: str, item: ItemToSend, file: LocalFile, md5: str | None) -> None:
        body = FileRange(file, 0, file.size_in_bytes, self._on_their_way, md5)
        try:
            self._store.put(url, item.headers, body.open, file.size_in_bytes, item.relpath)
        except BaseException:
            body.take_back()
            raise

    def _send_readme(self, grant: UploadGrant, readme: bytes) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if grant.uri.startswith("azure:"):
            headers.update(_BLOCK_BLOB)
        self._store.put(grant.readme_url, headers, readme, len(readme), "the README")
        self._sent(0)
        self._readme = None

    def _on_their_way(self, size_in_bytes: int) -> None:
        if size_in_bytes > 0:
            self._limit.check()
        self._limit.advance(size_in_bytes)
        self._progress.advance(size_in_bytes)

    def _sent(self, size_in_bytes: int) -> None:
        """Count what one request has stored."""
        with self._lock:
            self.sent_in_bytes += size_in_bytes
            self._requests += 1
            self._refusals_in_row = 0
