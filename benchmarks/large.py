"""A large item, sent in parts from end to end: announced, PUT, completed, and read with a range.

The file is all zeros and the store keeps no zeros, but both compute the MD5 of every part.
"""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from benchmarks import routes
from benchmarks.server import Server, Site

BYTES = 6 * 2**30
_AT_ONCE = 4


def measure(site: Site, size: int = BYTES) -> dict[str, str]:
    """Return what was measured, by name, as text."""
    with site.serving() as server:
        routes.warm_up(server)
        return _deposit(server, size)


def _deposit(server: Server, size: int) -> dict[str, str]:
    plan = {
        "uuid": str(uuid4()),
        "name": "large",
        "hash_function": "md5sum_hexdigest",
        "multipart": True,
        # What the store cannot verify is the client's claim.
        "items": [{"relpath": "large.raw", "size_in_bytes": size, "hash": "0" * 32}],
    }
    begun = server.checked("POST", routes.UPLOAD, plan)
    identifier, item = next(iter(begun.json["upload_urls"]["items"].items()))
    count, part_size = item["parts"]["count"], item["parts"]["size"]
    uri = quote(begun.json["uri"], safe="")
    md5s = {length: _md5_of_zeros(length) for length in (part_size, size - part_size * (count - 1))}

    def length(number: int) -> int:
        return part_size if number < count else size - part_size * (count - 1)

    asked = {
        "numbers": list(range(1, count + 1)),
        "hashes": {str(number): md5s[length(number)] for number in range(1, count + 1)},
    }
    signed = server.checked("POST", f"/signed-urls/parts/{uri}/{identifier}", asked)
    started = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(
            pool.map(
                lambda part: _put(part[1]["url"], part[1]["headers"], length(int(part[0]))),
                signed.json["parts"].items(),
            )
        )
    sent = time.perf_counter() - started
    completed = server.checked("POST", "/signed-urls/upload-complete", {"uri": begun.json["uri"]})
    read = server.checked("GET", f"/signed-urls/item/{uri}/{identifier}")
    assert _get(read.json["url"], size - 10, size - 1) == bytes(10)
    return {
        "size": f"{size / 2**30:.2f} GiB in {count} parts of {part_size / 2**20:.0f} MiB",
        "bytes per second, 4 parts at a time": f"{size / sent / 2**20:,.0f} MiB/s",
        "signing all parts": _cost(signed),
        "completion": _cost(completed),
    }


def _cost(sample: Any) -> str:
    return (
        f"{sample.seconds * 1000:,.0f} ms, {sample.cpu * 1000:,.0f} ms CPU, "
        f"{sample.requests} store requests, {sample.statements} statements"
    )


def _md5_of_zeros(length: int) -> str:
    return hashlib.md5(bytes(length)).hexdigest()


def _put(url: str, headers: Mapping[str, str], length: int) -> None:
    status, body = _request("PUT", url, dict(headers), bytes(length))
    if status != 200:
        raise SystemExit(f"PUT of a part: {status} {body[:200]!r}")


def _get(url: str, first: int, last: int) -> bytes:
    return _request("GET", url, {"Range": f"bytes={first}-{last}"}, None)[1]


def _request(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
