"""An S3 store in memory that answers fast, so that a benchmark measures dserver and not the store.

One bucket, path style, on asyncio. It checks Content-MD5, but no signature. It counts requests, and
can be filled with objects that have a size and an ETag, but no bytes. Of a part that is all zeros
it keeps the size.
Started by ``python -m benchmarks.store PORT_FILE``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from base64 import b64encode
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import unescape

BUCKET = "bench"
CONTROL = "/-bench/"
PAGE = 1000
_DATE = "Wed, 01 Jan 2025 00:00:00 GMT"
_ISO_DATE = "2025-01-01T00:00:00.000Z"
_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 404: "Not Found"}


@dataclass
class Stored:
    """An object; ``content`` is None if it was only declared, or is all zeros."""

    size: int
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @classmethod
    def of(cls, content: bytes, headers: dict[str, str]) -> Stored:
        """Keep bytes, and the metadata among the headers of the request."""
        kept = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        zeros = len(content) > 2**20 and content.count(0) == len(content)
        etag = hashlib.md5(content).hexdigest()
        return cls(len(content), etag, kept, None if zeros else content)

    def read(self, first: int, last: int) -> bytes:
        """Return the bytes from one position to another."""
        if self.content is None:
            return bytes(last + 1 - first)
        return self.content[first : last + 1]


class Store:
    """The objects of the bucket, by key, and its multipart uploads, by id."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, tuple[str, dict[str, str], dict[int, Stored]]] = {}
        self.requests = 0
        self._sorted: list[str] | None = None

    def put(self, key: str, stored: Stored) -> None:
        """Keep an object."""
        if key not in self.objects:
            self._sorted = None
        self.objects[key] = stored

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        if self.objects.pop(key, None) is not None:
            self._sorted = None

    def page(self, prefix: str, after: str, most: int) -> tuple[list[str], bool]:
        """Return keys in order, and whether there are more."""
        if self._sorted is None:
            self._sorted = sorted(self.objects)
        start = max(bisect_left(self._sorted, prefix), bisect_right(self._sorted, after))
        keys = self._sorted[start : start + most + 1]
        found = [key for key in keys if key.startswith(prefix)]
        return found[:most], len(found) > most

    def declare(self, lines: bytes) -> None:
        """Keep objects without bytes: JSON lines of key, size, ETag and metadata."""
        for line in lines.splitlines():
            key, size, etag, metadata = json.loads(line)
            headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
            self.put(key, Stored(size, etag, headers))


@dataclass
class Request:
    """A request, decoded."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """An answer; ``length`` is that of a body that HEAD leaves out."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None

    def encoded(self) -> bytes:
        """Return the bytes to send."""
        length = len(self.body) if self.length is None else self.length
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        reason = _REASONS.get(self.status, "Refused")
        return (
            f"HTTP/1.1 {self.status} {reason}\r\nDate: {_DATE}\r\n{lines}"
            f"Content-Length: {length}\r\n\r\n"
        ).encode() + self.body


def answer(store: Store, request: Request) -> Answer:
    """Answer a request as S3 does, as far as the benchmarks need it."""
    if not request.key:
        return _of_bucket(store, request)
    if "uploads" in request.query or "uploadId" in request.query:
        return _of_multipart(store, request)
    if request.method == "PUT":
        return _put(store, request)
    if request.method == "DELETE":
        store.delete(request.key)
        return Answer(204)
    return _get(store, request)


def _error(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code></Error>".encode())


def _of_bucket(store: Store, request: Request) -> Answer:
    query = request.query
    if request.method == "POST":
        for key in re.findall(r"<Key>(.*?)</Key>", request.body.decode(), re.DOTALL):
            store.delete(unescape(key))
        return Answer(200, b"<DeleteResult/>")
    if "versioning" in query:
        return Answer(200, b"<VersioningConfiguration/>")
    if "lifecycle" in query:
        return _error(404, "NoSuchLifecycleConfiguration")
    if "uploads" in query:
        return Answer(200, b"<ListMultipartUploadsResult/>")
    return _listing(store, query)


def _listing(store: Store, query: dict[str, str]) -> Answer:
    prefix = query.get("prefix", "")
    after = query.get("continuation-token") or query.get("start-after") or query.get("marker", "")
    keys, more = store.page(prefix, after, min(int(query.get("max-keys", PAGE)), PAGE))
    entries = "".join(
        f"<Contents><Key>{quote(key)}</Key><LastModified>{_ISO_DATE}</LastModified>"
        f'<ETag>"{stored.etag}"</ETag><Size>{stored.size}</Size>'
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
        for stored in (store.objects[key],)
    )
    token = f"<NextContinuationToken>{keys[-1]}</NextContinuationToken>" if more else ""
    return Answer(
        200,
        (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><Prefix>{quote(prefix)}</Prefix>{token}"
            f"<KeyCount>{len(keys)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
            "<EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{entries}</ListBucketResult>"
        ).encode(),
        {"Content-Type": "application/xml"},
    )


def _is_damaged(stored: Stored, request: Request) -> bool:
    pin = request.headers.get("content-md5")
    return pin not in (None, b64encode(bytes.fromhex(stored.etag)).decode())


def _put(store: Store, request: Request) -> Answer:
    headers = request.headers
    source = headers.get("x-amz-copy-source")
    if source is None:
        stored = Stored.of(request.body, headers)
        if _is_damaged(stored, request):
            return _error(400, "BadDigest")
        if headers.get("if-none-match") == "*" and request.key in store.objects:
            return _error(412, "PreconditionFailed")
    else:
        found = store.objects.get(unquote(source).lstrip("/").partition("/")[2])
        if found is None:
            return _error(404, "NoSuchKey")
        if headers.get("x-amz-copy-source-if-match", found.etag).strip('"') != found.etag:
            return _error(412, "PreconditionFailed")
        stored = Stored(found.size, found.etag, Stored.of(b"", headers).headers, found.content)
    store.put(request.key, stored)
    etag = f'"{stored.etag}"'
    body = f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>" if source else ""
    return Answer(200, body.encode(), {"ETag": etag})


def _get(store: Store, request: Request) -> Answer:
    stored = store.objects.get(request.key)
    if stored is None:
        return Answer(404) if request.method == "HEAD" else _error(404, "NoSuchKey")
    headers = {"ETag": f'"{stored.etag}"', "Last-Modified": _DATE, **stored.headers}
    if request.method == "HEAD":
        return Answer(200, b"", headers, stored.size)
    bounds = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if bounds is None:
        return Answer(200, stored.read(0, stored.size - 1), headers)
    first, last = int(bounds[1]), min(int(bounds[2] or stored.size - 1), stored.size - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
    return Answer(206, stored.read(first, last), headers)


def _of_multipart(store: Store, request: Request) -> Answer:
    if request.method == "POST" and "uploads" in request.query:
        number = f"upload-{len(store.uploads)}"
        store.uploads[number] = request.key, Stored.of(b"", request.headers).headers, {}
        return _upload_answer("InitiateMultipartUploadResult", request.key, number)
    if request.query["uploadId"] not in store.uploads:
        return _error(404, "NoSuchUpload")
    key, headers, parts = store.uploads[request.query["uploadId"]]
    if request.method == "PUT":
        part = Stored.of(request.body, {})
        if _is_damaged(part, request):
            return _error(400, "BadDigest")
        parts[int(request.query["partNumber"])] = part
        return Answer(200, b"", {"ETag": f'"{part.etag}"'})
    if request.method == "GET":
        return _list_parts(request, parts)
    del store.uploads[request.query["uploadId"]]
    if request.method == "DELETE":
        return Answer(204)
    digests = b"".join(bytes.fromhex(part.etag) for _, part in sorted(parts.items()))
    etag = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
    store.put(key, Stored(sum(part.size for part in parts.values()), etag, headers))
    more = f'<ETag>"{etag}"</ETag>'
    return _upload_answer("CompleteMultipartUploadResult", key, request.query["uploadId"], more)


def _upload_answer(root: str, key: str, upload_id: str, more: str = "") -> Answer:
    text = f"<Bucket>{BUCKET}</Bucket><Key>{quote(key)}</Key><UploadId>{upload_id}</UploadId>{more}"
    return Answer(200, f"<{root}>{text}</{root}>".encode())


def _list_parts(request: Request, parts: dict[int, Stored]) -> Answer:
    after = int(request.query.get("part-number-marker", 0))
    later = sorted(number for number in parts if number > after)
    entries = "".join(
        f"<Part><PartNumber>{number}</PartNumber><LastModified>{_ISO_DATE}</LastModified>"
        f'<ETag>"{parts[number].etag}"</ETag><Size>{parts[number].size}</Size></Part>'
        for number in later[:PAGE]
    )
    more = len(later) > PAGE
    marker = f"<NextPartNumberMarker>{later[PAGE - 1]}</NextPartNumberMarker>" if more else ""
    found = f"{marker}<IsTruncated>{str(more).lower()}</IsTruncated>{entries}"
    return _upload_answer("ListPartsResult", request.key, request.query["uploadId"], found)


class _Connection(asyncio.Protocol):
    """One connection; requests are answered in the order in which they come."""

    def __init__(self, store: Store) -> None:
        self._store, self._received = store, bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._head is not None or self._read_head():
            if not self._read_body():
                return

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        method, target, _ = first.split(" ")
        self._head = method, target, headers
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _read_body(self) -> bool:
        assert self._head is not None
        method, target, headers = self._head
        length = int(headers.get("content-length", 0))
        if len(self._received) < length:
            return False
        with memoryview(self._received) as received:
            body = bytes(received[:length])
        del self._received[:length]
        self._head = None
        self._transport.write(self._answered(method, target, headers, body).encoded())
        return True

    def _answered(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        if target.startswith(CONTROL):
            self._store.declare(body)
            return Answer(200, json.dumps({"requests": self._store.requests}).encode())
        self._store.requests += 1
        parts = urlsplit(target)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return answer(self._store, Request(method, key, query, headers, body))


async def _serve(port_file: Path) -> None:
    store = Store()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(store), "127.0.0.1", 0)
    written = port_file.with_suffix(".new")
    written.write_text(str(server.sockets[0].getsockname()[1]))
    written.rename(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
