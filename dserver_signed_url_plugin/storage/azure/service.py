"""Sends requests to one account, over kept connections that observe the call's deadline.

Every response is checked, because a proxy or a broken store may send anything: nothing but what
Azure responds to the request is accepted, redirects are not followed, and no more is read than the
caller expects.

Source: Microsoft, "Blob Storage REST API", the status codes and response headers of each operation.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from dserver_signed_url_plugin import signed_http
from dserver_signed_url_plugin.errors import StorageMisconfigured
from dserver_signed_url_plugin.storage.azure.sas import VERSION
from dserver_signed_url_plugin.storage.azure.values import METADATA_PREFIX
from dserver_signed_url_plugin.storage.content_range import is_beginning
from dserver_signed_url_plugin.storage.http_sockets import POOLS
from dserver_signed_url_plugin.storage.md5 import base64_md5, md5_of
from dserver_signed_url_plugin.storage.parallel import PARALLEL

# A page of 5,000 blobs has less than half of that, even if each name and relpath is the longest.
DOCUMENT_BYTES = 128 * 1024**2
# A manifest of 100,000 items with long relpaths has less.
BLOB_BYTES = 512 * 1024**2

# Before the last byte of a range, in x-ms-range.
FROM_FIRST = "bytes=0-"

_PARTIAL = 206
_STATUSES = {"GET": {200, _PARTIAL}, "HEAD": {200}, "POST": {200}, "PUT": {201}, "DELETE": {202}}
# Of responses that are checked when they are parsed, and may lack the request's ID.
_DOCUMENTS = frozenset({"list", "userdelegationkey"})
_REDIRECTS = range(300, 400)
# One retry, and short times in seconds (to connect, to answer), because a person waits.
_TIMEOUT = urllib3.Timeout(connect=5, read=15)
_PAUSE = 0.2
_TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError)
# Not implemented, and another version of HTTP: the next answer would be the same.
_LASTING = frozenset({501, 505})
_CHUNK = 64 * 1024
_AGENT = "dserver-signed-url-plugin"


class UnexpectedAzureAnswer(Exception):
    """A response is not what Azure responds to the request; the message says why."""


class AzureRefusal(Exception):
    """The store refused a request: the status, and its error code if it gave one."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


class Authorizer(Protocol):
    """Makes the header Authorization of requests."""

    def authorization(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """Return the header of a request; see SharedKey for the parameters."""


@dataclass(frozen=True)
class Response:
    """A response of the store; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the container or blob; names are in lower case."""
        return {
            name.removeprefix(METADATA_PREFIX): value
            for name, value in self.headers.items()
            if name.startswith(METADATA_PREFIX)
        }


def connections_to(endpoint: str) -> urllib3.PoolManager:
    """Return connections to an account that observe the deadline of the call.

    :raises StorageMisconfigured: if the environment's proxy or certificates cannot be used.
    """
    try:
        connections = signed_http.connections(endpoint, 2 * PARALLEL)
    except signed_http.UnusableConnections as error:
        raise StorageMisconfigured("The store", f"cannot be reached: {error}") from None
    connections.pool_classes_by_scheme = POOLS
    return connections


class BlobService:
    """Sends requests to one account; safe to share between threads.

    ``timeout`` is that of each request, where the call's deadline is later, or there is none.

    :param endpoint: the account's URL for the server.
    """

    def __init__(
        self, endpoint: str, authorizer: Authorizer, connections: urllib3.PoolManager
    ) -> None:
        parts = urlsplit(endpoint)
        self._origin, self._prefix = f"{parts.scheme}://{parts.netloc}", parts.path
        self._authorizer, self._connections = authorizer, connections
        self.timeout = _TIMEOUT

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        status: int | None = None,
        limit: int = DOCUMENT_BYTES,
        truncate: bool = False,
    ) -> Response:
        """Send a request, and once more after a server error or a broken connection.

        :param path: the container and blob, not quoted: ``container/blob``; empty for the account.
        :param query: the parameters; names in lower case.
        :param headers: names in lower case.
        :param status: of success, where the operation has another one than most of its method.
        :param limit: how many bytes of the response are read.
        :param truncate: whether what exceeds the limit is left unread, instead of being an error.
        :raises AzureRefusal: if the store responds with an error.
        :raises UnexpectedAzureAnswer: if the response does not belong to the request.
        :raises urllib3.exceptions.HTTPError: if there is no response.
        """
        request = _Request(
            method, f"{self._prefix}/{quote(path)}", query or {}, headers or {}, body
        )
        statuses = _STATUSES[method] if status is None else {status}
        return _checked(self._retried(request, limit, truncate=truncate), request, statuses)

    def _retried(self, request: _Request, limit: int, *, truncate: bool) -> Response:
        try:
            response = self._exchange(request, limit, truncate=truncate)
            if response.status < 500 or response.status in _LASTING:
                return response
        except HTTPError as error:
            if any(isinstance(each, _TIMEOUTS) for each in signed_http.causes(error)):
                raise
        time.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
        return self._exchange(request, limit, truncate=truncate)

    def _exchange(self, request: _Request, limit: int, *, truncate: bool) -> Response:
        response = self._connections.urlopen(
            request.method,
            f"{self._origin}{request.path}{request.query_string}",
            redirect=False,
            retries=False,
            headers=self._headers(request),
            body=request.body or None,
            timeout=self.timeout,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = _read(response, limit, truncate=truncate)
        finally:
            # This ends the connection, unless the response was read to its end.
            response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status, headers, body)

    def _headers(self, request: _Request) -> dict[str, str]:
        """Return all headers of a request that is sent now."""
        now = format_datetime(datetime.now(timezone.utc), usegmt=True)
        headers = {
            **request.headers,
            "user-agent": _AGENT,
            "accept-encoding": "identity",
            "x-ms-date": now,
            "x-ms-version": VERSION,
        }
        if request.body:
            headers["content-length"] = str(len(request.body))
        headers["authorization"] = self._authorizer.authorization(
            request.method, request.path, request.query, headers
        )
        return headers


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def query_string(self) -> str:
        return f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""


def _read(response: urllib3.BaseHTTPResponse, limit: int, *, truncate: bool) -> bytes:
    """Read a body until it ends, or exceeds the limit."""
    chunks: list[bytes] = []
    size = 0
    while size <= limit and (chunk := response.read(min(_CHUNK, limit + 1 - size))):
        chunks.append(chunk)
        size += len(chunk)
    if size <= limit or truncate:
        return b"".join(chunks)[:limit]
    raise UnexpectedAzureAnswer(f"more than {limit} bytes")


def _checked(response: Response, request: _Request, statuses: set[int]) -> Response:
    """Return a response that is a success, and belongs to the request."""
    status = response.status
    if status in _REDIRECTS:
        raise UnexpectedAzureAnswer(f"a redirect ({status})")
    if status >= _REDIRECTS.stop:
        raise AzureRefusal(status, response.headers.get("x-ms-error-code", str(status)))
    if status not in statuses:
        raise UnexpectedAzureAnswer(f"status {status}")
    is_parsed = request.query.get("comp") in _DOCUMENTS
    if not is_parsed and "x-ms-request-id" not in response.headers:
        raise UnexpectedAzureAnswer("no x-ms-request-id")
    if request.method == "GET":
        _check_content(response, request)
    return response


def _check_content(response: Response, request: _Request) -> None:
    """Check that a body is all that was requested."""
    headers, range_ = response.headers, request.headers.get("x-ms-range")
    # urllib3 compares a valid length with what it reads; without one, a body may end anywhere.
    if not (headers.get("content-length", "").isdigit() or "transfer-encoding" in headers):
        raise UnexpectedAzureAnswer("no length")
    if response.status == _PARTIAL:
        limit = None if range_ is None else int(range_.removeprefix(FROM_FIRST))
        if not is_beginning(headers.get("content-range", ""), len(response.body), limit):
            raise UnexpectedAzureAnswer("a part that was not requested")
    elif range_ is None:
        if headers.get("content-encoding", "identity") != "identity":
            raise UnexpectedAzureAnswer("a Content-Encoding")
        if headers.get("content-md5", "") not in ("", base64_md5(md5_of(response.body))):
            raise UnexpectedAzureAnswer("bytes that differ from their MD5")
