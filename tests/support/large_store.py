"""An S3 store in memory for datasets of many items: fast, in pages of 1,000 keys, path style.

It keeps the bytes of small objects only, verifies no signature, and counts its requests. It answers
as slowly as it is told, and refuses more copies at a time than it is told.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

from tests.support.clients import Deposit
from tests.support.dserver import Bucket

_PAGE = 1000
_REASONS = {200: "OK", 404: "Not Found", 412: "Precondition Failed", 503: "Slow Down"}
_MODIFIED = "2026-01-01T00:00:00.000Z"
_COPIED = b"<CopyObjectResult><ETag>&quot;%s&quot;</ETag></CopyObjectResult>"


@dataclass
class StoredObject:
    """An object, whose bytes may be left out."""

    md5: str
    size: int
    content: bytes = b""
    metadata: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """What is answered instead: status and code."""


@dataclass
class LargeStore:
    """The store, from ``with`` to the end of the block.

    :param seconds: how long an answer takes, by operation.
    :param most_copies: more at a time are refused with SlowDown.
    """

    name: str = "large"
    objects: dict[str, StoredObject] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    most_copies: int = 1_000_000
    requests: Counter[str] = field(default_factory=Counter)
    most_copies_seen: int = 0

    def __enter__(self) -> Bucket:
        self._keys: list[str] = []
        self._copying = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # Not in this thread, in which a browser's loop may be running.
        started = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=128)
        self._server = asyncio.run_coroutine_threadsafe(started, self._loop).result()
        port = self._server.sockets[0].getsockname()[1]
        return Bucket(self.name, f"http://127.0.0.1:{port}", "LARGEKEY", "large-secret")

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Count from here on."""
        self.requests.clear()

    def put_all(self, grant: Mapping[str, Any], deposit: Deposit) -> None:
        """Hold every item of a deposit where its URL would write it, without a request."""
        for item in grant["upload_urls"]["items"].values():
            content = deposit.files[item["relpath"]]
            key = unquote(urlsplit(item["url"]).path).removeprefix(f"/{self.name}/")
            self.objects[key] = StoredObject(hashlib.md5(content).hexdigest(), len(content))

    async def _stop(self) -> None:
        self._server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip().split("\r\n")
                pairs = (line.split(": ", 1) for line in lines)
                headers = {name.lower(): value for name, value in pairs}
                if "expect" in headers:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                method, target, _ = first.split(" ")
                writer.write(await self._answer(method, target, headers, content))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], content: bytes
    ) -> bytes:
        # A proxy is sent the whole URL.
        path, query = urlsplit(target)[2:4]
        key = unquote(path).removeprefix(f"/{self.name}").removeprefix("/")
        is_copy = "x-amz-copy-source" in headers
        operation = "COPY" if is_copy else method if key else f"{method} bucket"
        self.requests[operation] += 1
        self._copying += is_copy
        self.most_copies_seen = max(self.most_copies_seen, self._copying)
        try:
            if is_copy and self._copying > self.most_copies:
                raise Refusal(503, "SlowDown")
            if self.seconds.get(operation):
                await asyncio.sleep(self.seconds[operation])
            if key:
                return self._object(method, key, headers, content)
            return self._bucket(method, parse_qs(query), content)
        except Refusal as refusal:
            status, code = refusal.args
            body = b"" if method == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
            return _response(status, body)
        finally:
            self._copying -= is_copy

    def _bucket(self, method: str, query: dict[str, list[str]], content: bytes) -> bytes:
        if method == "POST":
            for key in re.findall(r"<Key>(.*?)</Key>", content.decode()):
                self.objects.pop(unescape(key), None)
            return _response(200, b"<DeleteResult/>")
        prefix, after = (query.get(name, [""])[0] for name in ("prefix", "continuation-token"))
        if not after or len(self._keys) != len(self.objects):
            self._keys = sorted(self.objects)
        start = bisect_left(self._keys, prefix) if not after else bisect_right(self._keys, after)
        found = [key for key in self._keys[start : start + _PAGE] if key.startswith(prefix)]
        token = f"<NextContinuationToken>{found[-1]}</NextContinuationToken>" if found else ""
        entries = "".join([_entry(key, self.objects[key]) for key in found])
        is_cut = len(found) == _PAGE
        return _response(
            200,
            f"<ListBucketResult><Prefix>{escape(prefix)}</Prefix><IsTruncated>{str(is_cut).lower()}"
            f"</IsTruncated>{token if is_cut else ''}{entries}</ListBucketResult>".encode(),
        )

    def _object(self, method: str, key: str, headers: dict[str, str], content: bytes) -> bytes:
        if method == "PUT":
            metadata = {name: text for name, text in headers.items() if "-meta-" in name}
            source = headers.get("x-amz-copy-source")
            if source is None:
                md5 = hashlib.md5(content).hexdigest()
                self.objects[key] = StoredObject(md5, len(content), content, metadata)
                return _response(200, b"", {"ETag": f'"{md5}"'})
            copied = self.objects.get(unquote(source).removeprefix(f"{self.name}/"))
            if copied is None:
                raise Refusal(404, "NoSuchKey")
            if copied.md5 != headers["x-amz-copy-source-if-match"]:
                raise Refusal(412, "PreconditionFailed")
            self.objects[key] = StoredObject(copied.md5, copied.size, copied.content, metadata)
            return _response(200, _COPIED % copied.md5.encode())
        found = self.objects.get(key)
        if found is None:
            raise Refusal(404, "NoSuchKey")
        described = {"ETag": f'"{found.md5}"', **found.metadata}
        return _response(200, b"" if method == "HEAD" else found.content, described)


def _entry(key: str, stored: StoredObject) -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{_MODIFIED}</LastModified>"
        f"<ETag>&quot;{stored.md5}&quot;</ETag><Size>{stored.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _response(status: int, content: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", "x-amz-request-id: tx0"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content
