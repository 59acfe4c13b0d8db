"""What each route costs with different numbers of items: the plugin's, and the naive way's."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from dtoolcore.utils import generate_identifier

from benchmarks.app import LISTING
from benchmarks.server import BASE_URI, Sample, Server, Site
from benchmarks.store import BUCKET

# How often each call is measured, by number of items: (plugin, naive way). Nothing is measured
# where the naive way takes minutes.
CALLS = {10: (20, 2), 1_000: (6, 1), 10_000: (3, 1), 100_000: (2, 0)}
ITEM_CALLS = 40
MANY = 100_000  # items, of which one listing takes seconds
NAIVE_COMPLETION = 1_000  # items
STAGED = 5_000  # items
UPLOAD = f"/signed-urls/upload/{quote(BASE_URI, safe='')}"
_NAIVE_UPLOAD = f"/naive/upload/{quote(BASE_URI, safe='')}"


@dataclass
class Row:
    """The cost of one route: times in seconds, memory in KiB above what was in use before.

    Times are medians, ``p95`` aside; numbers are the most that one call took.
    """

    route: str
    by: str
    items: int
    calls: int
    seconds: float
    p95: float
    cpu: float
    first_byte: float
    requests: int
    statements: int
    bytes: int
    memory: int | None
    compressed_bytes: int | None = None

    @classmethod
    def of(cls, route: str, by: str, items: int, samples: list[Sample]) -> Row:
        """Summarise calls."""
        seconds = sorted(sample.seconds for sample in samples)
        memory = [sample.memory for sample in samples if sample.memory is not None]
        return cls(
            route,
            by,
            items,
            len(samples),
            median(seconds),
            seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))],
            median(sample.cpu for sample in samples),
            median(sample.first_byte for sample in samples),
            max(sample.requests for sample in samples),
            max(sample.statements for sample in samples),
            max(sample.bytes for sample in samples),
            max(memory, default=None),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fields, by name."""
        return asdict(self)


def measure(site: Site, sizes: list[int]) -> Iterator[Row]:
    """Yield the rows of all routes for each number of items."""
    for items in sizes:
        ours, naive = CALLS.get(items, (3, 1))
        with site.serving() as server:
            warm_up(server)
            rows, uris = uploads(server, items, ours)
            yield from rows
        with site.serving() as server:
            warm_up(server)
            yield from reads(server, uris, items, ours)
        if naive:
            with site.serving() as server:
                # Not to charge it with what is imported at the first call.
                server.checked("GET", f"/naive/dataset/{quote(warm_up(server), safe='')}")
                yield from _naive(server, uris[0], items, naive)


def measure_staged(site: Site, items: int = STAGED) -> Iterator[Row]:
    """Yield the completion of staged items, and the same number of copies with botocore."""
    with site.serving() as server:
        warm = warm_up(server)
        grant = server.checked("POST", UPLOAD, _plan(items, pinned=False)).json
        stored = list(_objects(grant, _hashes(items)))
        server.store.declare(iter(stored))
        sample = server.checked("POST", "/signed-urls/upload-complete", {"uri": grant["uri"]})
        yield Row.of("POST upload-complete, staged", "plugin", items, [sample])
        server.store.declare(iter(stored))
        server.checked("POST", f"/naive/copies/{quote(warm, safe='')}", [])
        copies = [(f"copies/{key}", key, md5) for key, _, md5, _ in stored]
        sample = server.checked("POST", f"/naive/copies/{quote(warm, safe='')}", copies)
        yield Row.of("POST upload-complete, staged", "botocore", items, [sample])


def uploads(server: Server, items: int, calls: int) -> tuple[list[Row], list[str]]:
    """Deposit datasets; return what it cost, and their URIs."""
    begun, completed, listed, uris = [], [], [], []
    hashes = _hashes(items)
    for _ in range(calls):
        begun.append(server.checked("POST", UPLOAD, _plan(items)))
        grant = begun[-1].json
        server.store.declare(_objects(grant, hashes))
        if not listed or items < MANY:
            listed.append(server.checked("GET", LISTING + grant["uuid"]))
        completed.append(
            server.checked("POST", "/signed-urls/upload-complete", {"uri": grant["uri"]})
        )
        uris.append(grant["uri"])
    row = Row.of("POST upload", "plugin", items, begun)
    packed = server.checked("POST", UPLOAD, _plan(items), Accept_Encoding="gzip")
    row.compressed_bytes = packed.bytes
    rows = [
        row,
        Row.of("POST upload-complete, pinned", "plugin", items, completed),
        Row.of("listing of an upload", "plugin", items, listed),
    ]
    return rows, uris


def reads(server: Server, uris: list[str], items: int, calls: int) -> Iterator[Row]:
    """Read datasets that this worker has never seen, and then again."""
    identifier = generate_identifier(relpath(0))
    item = [f"/signed-urls/item/{quote(uri, safe='')}/{identifier}" for uri in uris]
    dataset = f"/signed-urls/dataset/{quote(uris[-1], safe='')}"
    # The last dataset is read as a whole below: so far, nobody has asked for anything of it.
    cold = [server.checked("GET", path) for path in item[:-1]]
    yield Row.of("GET item, cold", "plugin", items, cold)
    warm = [server.checked("GET", item[0]) for _ in range(ITEM_CALLS)]
    yield Row.of("GET item, warm", "plugin", items, warm)
    first = server.checked("GET", dataset)
    assert len(first.json["item_urls"]) == items
    yield Row.of("GET dataset, cold", "plugin", items, [first])
    again = [server.checked("GET", dataset) for _ in range(calls)]
    row = Row.of("GET dataset", "plugin", items, again)
    row.compressed_bytes = server.checked("GET", dataset, Accept_Encoding="gzip").bytes
    yield row


def _naive(server: Server, uri: str, items: int, calls: int) -> Iterator[Row]:
    quoted, identifier = quote(uri, safe=""), generate_identifier(relpath(0))
    for route, path in (
        ("GET item", f"item/{quoted}/{identifier}"),
        ("GET dataset", f"dataset/{quoted}"),
    ):
        samples = [server.checked("GET", f"/naive/{path}") for _ in range(calls)]
        yield Row.of(route, "naive", items, samples)
    begun, completed = [], []
    for _ in range(calls):
        begun.append(server.checked("POST", _NAIVE_UPLOAD, _plan(items)))
        if items == NAIVE_COMPLETION and not completed:
            grant = begun[-1].json
            server.store.declare(_objects(grant, _hashes(items)))
            path = f"/naive/upload-complete/{quote(grant['uri'], safe='')}"
            completed.append(server.checked("POST", path, {}))
    yield Row.of("POST upload", "naive", items, begun)
    if completed:
        yield Row.of("POST upload-complete, pinned", "naive", items, completed)


def warm_up(server: Server) -> str:
    """Make a worker create its clients and compile what it needs; return a dataset's URI."""
    grant = server.checked("POST", UPLOAD, _plan(10)).json
    server.store.declare(_objects(grant, _hashes(10)))
    server.checked("POST", "/signed-urls/upload-complete", {"uri": grant["uri"]})
    quoted = quote(grant["uri"], safe="")
    for _ in range(3):
        server.checked("GET", f"/signed-urls/dataset/{quoted}")
        server.checked("GET", f"/signed-urls/item/{quoted}/{generate_identifier(relpath(0))}")
    uri: str = grant["uri"]
    return uri


def _plan(items: int, *, pinned: bool = True) -> dict[str, Any]:
    """Announce items as dtool-dserver does, or as dserver-client-js does."""
    hashes = {"hash_function": "md5sum_hexdigest"} if pinned else {}
    return {
        "uuid": str(uuid4()),
        "name": "benchmark",
        "items": [
            {
                "relpath": relpath(number),
                "size_in_bytes": number,
                "hash": _md5(number),
                "utc_timestamp": 1_700_000_000.5 + number,
            }
            for number in range(items)
        ],
        **hashes,
    }


def relpath(number: int) -> str:
    """Return the relpath of an item."""
    return f"run-{number // 1000:03}/images/frame_{number:06}.tif"


def _md5(number: int) -> str:
    return hashlib.md5(b"%d" % number).hexdigest()


def _hashes(items: int) -> dict[str, tuple[int, str]]:
    """Return (size in bytes, MD5) by relpath."""
    return {relpath(number): (number, _md5(number)) for number in range(items)}


def _objects(
    grant: Any, hashes: dict[str, tuple[int, str]]
) -> Iterator[tuple[str, int, str, dict[str, str]]]:
    """Yield what the store has when all items were PUT to their URLs."""
    for item in grant["upload_urls"]["items"].values():
        size, md5 = hashes[item["relpath"]]
        key = unquote(urlsplit(item["url"]).path).removeprefix(f"/{BUCKET}/")
        handle = base64.b64encode(item["relpath"].encode()).decode()
        yield key, size, md5, {"handle": handle, "checksum": md5}
