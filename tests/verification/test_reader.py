"""Reading an item from a store that breaks off, changes it, or refuses it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from dserver_signed_url_plugin.errors import StorageAway
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.verification.comparison import ComparedItem, Content, Result
from dserver_signed_url_plugin.verification.reader import ItemReader

CONTENT = bytes(range(256)) * 10_000
MD5 = hashlib.md5(CONTENT).hexdigest()
ITEM = Item("1" * 40, "a.bin", len(CONTENT), MD5)
EQUAL = ComparedItem(ITEM, Result.EQUAL, Content(len(CONTENT), MD5))


@dataclass
class Store:
    """One object; ``cuts`` are the bytes after which each answer breaks off, in turn."""

    content: bytes = CONTENT
    etag: str | None = '"1"'
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    takes_ranges: bool = True
    after_cut: Callable[[Store], None] = lambda _: None
    ranges: list[str | None] = field(default_factory=list)
    address: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked, condition = handler.headers["Range"], handler.headers["If-Match"]
        self.ranges.append(asked)
        start = int(asked.split("=")[1].rstrip("-")) if asked and self.takes_ranges else 0
        status = self.statuses.pop(0) if self.statuses else 206 if start else 200
        if condition is not None and condition != self.etag:
            status = 412
        body = self.content[start:] if status in (200, 206) else b"<Error><Code>Odd</Code></Error>"
        handler.send_response_only(status)
        if self.etag:
            handler.send_header("ETag", self.etag)
        if status == 206:
            size = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts and status in (200, 206) else None
        handler.wfile.write(body[:cut])
        if cut is not None:
            handler.close_connection = True
            self.after_cut(self)


@pytest.fixture
def store() -> Iterator[Store]:
    serving = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            serving.answer(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        serving.address = f"http://127.0.0.1:{server.server_port}"
        yield serving
        server.shutdown()
        thread.join()


@pytest.fixture
def progress() -> list[int]:
    return []


@pytest.fixture
def read(store, progress) -> Iterator[Callable[..., ComparedItem]]:
    """Read an item, without pauses."""
    manager = urllib3.PoolManager(timeout=30)

    def url_of(item: Item) -> str:
        return f"{store.address}/{item.identifier}?X-Amz-Signature=secret"

    reader = ItemReader(manager, url_of, progress.append, pauses=(0, 0))
    yield lambda item=ITEM: reader.read(item)
    reader.stop()


def test_an_item_is_read_in_pieces_and_compared(read, store, progress):
    assert read() == EQUAL
    assert sum(progress) == len(CONTENT)
    assert len(progress) > 1
    assert store.ranges == [None]


def test_reading_goes_on_where_connections_broke(read, store, progress):
    store.cuts = [1_000_000, 0, 500_000, 0, 0]
    assert read() == EQUAL
    assert sum(progress) == len(CONTENT)
    assert store.ranges == [None, *["bytes=1000000-"] * 2, *["bytes=1500000-"] * 3]


def test_an_item_is_read_from_the_start_where_ranges_are_ignored(read, store):
    store.cuts, store.takes_ranges = [1_000_000], False
    assert read() == EQUAL


@pytest.mark.parametrize("etag", [None, 'W/"1"'], ids=["none", "weak"])
def test_an_item_without_a_strong_etag_is_read_from_the_start(read, store, etag):
    store.cuts, store.etag = [1_000_000], etag
    assert read() == EQUAL
    assert store.ranges == [None, None]


def test_an_item_that_changes_meanwhile_is_read_from_the_start(read, store):
    def replace(store: Store) -> None:
        store.content, store.etag = CONTENT[::-1], '"2"'

    store.cuts, store.after_cut = [1_000_000], replace
    compared = read()
    assert compared.result is Result.DIFFERENT
    assert compared.found == Content(len(CONTENT), hashlib.md5(CONTENT[::-1]).hexdigest())


@pytest.mark.parametrize("takes_ranges", [True, False], ids=["changed", "ranges ignored"])
def test_an_item_that_never_can_be_read_to_its_end_ends_the_reading(read, store, takes_ranges):
    def replace(store: Store) -> None:
        store.etag = f'"changed {len(store.ranges)}"'

    store.cuts, store.takes_ranges = [1_000_000, 900_000] * 10, takes_ranges
    store.after_cut = replace if takes_ranges else store.after_cut
    with pytest.raises(StorageAway):
        read()
    assert len(store.ranges) == 4


def test_what_passes_by_itself_is_repeated(read, store):
    store.statuses = [503, 429]
    assert read() == EQUAL


def test_a_store_that_stays_away_ends_the_reading_without_its_signature(read, store):
    store.statuses = [503] * 3
    with pytest.raises(StorageAway, match="it answered 503") as caught:
        read()
    assert "secret" not in caught.value.message


def test_a_store_that_always_breaks_off_ends_the_reading(read, store):
    store.cuts = [0] * 3
    with pytest.raises(StorageAway, match=r"127.0.0.1 does not answer"):
        read()


def test_a_refused_item_is_unreadable_with_the_code_of_the_store(read, store):
    store.statuses = [403]
    assert read() == ComparedItem(ITEM, Result.UNREADABLE, reason="the store answered 403 Odd")


def test_a_missing_item_is_missing(read, store):
    store.statuses = [404]
    assert read() == ComparedItem(ITEM, Result.MISSING)


def test_an_item_of_the_wrong_size_is_not_read_to_its_end(read, store, progress):
    item = Item("1" * 40, "a.bin", len(CONTENT) + 1, MD5)
    assert read(item) == ComparedItem(item, Result.DIFFERENT, Content(len(CONTENT), None))
    assert progress == []


@pytest.mark.parametrize("digest", [None, "", "0" * 40, "x" * 32])
def test_an_item_without_an_md5_in_the_manifest_is_not_called_equal(read, digest):
    item = Item("1" * 40, "a.bin", len(CONTENT), digest)
    assert read(item).result is Result.NOT_COMPARABLE


def test_an_item_without_a_size_in_the_manifest_is_compared_by_its_md5(read, store):
    item = Item("1" * 40, "a.bin", None, MD5.upper())
    assert read(item).result is Result.EQUAL
    store.content = CONTENT + b"x"
    assert read(item).result is Result.DIFFERENT


def test_an_empty_item_is_equal(read, store):
    store.content = b""
    item = Item("1" * 40, "empty", 0, hashlib.md5(b"").hexdigest())
    assert read(item).result is Result.EQUAL
