"""An S3 store in memory that answers fast, so that a benchmark measures dserver and not the store.

One bucket, path style; benchmarks.store_server serves it. It checks Content-MD5, but no signature.
It counts requests, and the bytes of items that it had already. It can be filled with objects that
have a size and an ETag, but no bytes; of more than a mebibyte of zeros it keeps the size, and
believes their Content-MD5.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote
from xml.sax.saxutils import unescape

BUCKET = "bench"
CONTROL = "/-bench/"
PAGE = 1000
_MAX_ZEROS = 2**20
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
    def of(cls, body: Body, headers: dict[str, str]) -> Stored:
        """Keep a body, and the metadata among the headers of the request."""
        kept = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        content, pin = body.content, headers.get("content-md5")
        if content is not None:
            etag = hashlib.md5(content).hexdigest()
        else:
            # Hashing is the work of a store, and on one machine would slow down its clients.
            etag = b64decode(pin).hex() if pin else _md5_of_zeros(body.size)
        return cls(body.size, etag, kept, content)


class Body:
    """The body of a request as it comes in; as long as it is all zeros, only counted."""

    def __init__(self) -> None:
        self.size = 0
        self._kept: bytearray | None = None

    def add(self, data: bytes) -> None:
        """Take what has come in."""
        if self._kept is None and data != bytes(len(data)):
            self._kept = bytearray(self.size)
        if self._kept is not None:
            self._kept += data
        self.size += len(data)

    @property
    def content(self) -> bytes | None:
        """Return the bytes, or None for more than a mebibyte of zeros."""
        if self._kept is not None:
            return bytes(self._kept)
        return None if self.size > _MAX_ZEROS else bytes(self.size)


@lru_cache
def _md5_of_zeros(size: int) -> str:
    return hashlib.md5(bytes(size)).hexdigest()


class Store:
    """The objects of the bucket, by key, and its multipart uploads, by id."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, tuple[str, dict[str, str], dict[int, Stored]]] = {}
        self.requests = 0
        # Bytes of items that were stored already when they came.
        self.again = 0
        self._sorted: list[str] | None = None

    def put(self, key: str, stored: Stored) -> None:
        """Keep an object."""
        if "/data/" in key:
            self.again += repeated(self.objects.get(key), stored)
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


def repeated(before: Stored | None, stored: Stored) -> int:
    """Return how many bytes are stored a second time."""
    return stored.size if before is not None and before.etag == stored.etag else 0


@dataclass
class Request:
    """A request, decoded."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Body


@dataclass
class Answer:
    """An answer; ``length`` is that of a body that HEAD leaves out, or of as many zeros."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    zeros: int = 0

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
        for key in re.findall(
            r"<Key>(.*?)</Key>", (request.body.content or b"").decode(), re.DOTALL
        ):
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
        stored = Stored(found.size, found.etag, Stored.of(Body(), headers).headers, found.content)
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
    status, first, last = 200, 0, stored.size - 1
    if bounds is not None:
        status, first, last = 206, int(bounds[1]), min(int(bounds[2] or last), last)
        headers["Content-Range"] = f"bytes {first}-{last}/{stored.size}"
    length = last + 1 - first
    if stored.content is None:
        return Answer(status, b"", headers, length, zeros=length)
    return Answer(status, stored.content[first : last + 1], headers)


def _of_multipart(store: Store, request: Request) -> Answer:
    if request.method == "POST" and "uploads" in request.query:
        number = f"upload-{len(store.uploads)}"
        store.uploads[number] = request.key, Stored.of(Body(), request.headers).headers, {}
        return _upload_answer("InitiateMultipartUploadResult", request.key, number)
    if request.query["uploadId"] not in store.uploads:
        return _error(404, "NoSuchUpload")
    key, headers, parts = store.uploads[request.query["uploadId"]]
    if request.method == "PUT":
        part = Stored.of(request.body, {})
        if _is_damaged(part, request):
            return _error(400, "BadDigest")
        number = int(request.query["partNumber"])
        store.again += repeated(parts.get(number), part)
        parts[number] = part
        return Answer(200, b"", {"ETag": f'"{part.etag}"'})
    if request.method == "GET":
        return _list_parts(request, parts)
    del store.uploads[request.query["uploadId"]]
    if request.method == "DELETE":
        return Answer(204)
    stored = _assembled([part for _, part in sorted(parts.items())], headers)
    store.put(key, stored)
    more = f'<ETag>"{stored.etag}"</ETag>'
    return _upload_answer("CompleteMultipartUploadResult", key, request.query["uploadId"], more)


def _assembled(parts: list[Stored], headers: dict[str, str]) -> Stored:
    etag = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
    content = None
    if any(part.content is not None for part in parts):
        content = b"".join(part.content or bytes(part.size) for part in parts)
    size = sum(part.size for part in parts)
    return Stored(size, f"{etag}-{len(parts)}", headers, content)


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
