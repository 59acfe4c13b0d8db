"""Reads whole items through signed URLs, in pieces, and goes on where a connection broke.

Knows HTTP and no store. Source of conditions and ranges: RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from dserver_signed_url_plugin.errors import StorageAway
from dserver_signed_url_plugin.progress import Progress
from dserver_signed_url_plugin.signed_http import no_answer
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.verification.comparison import (
    ComparedItem,
    Content,
    Result,
    compared,
)

_PIECE_BYTES = 1024 * 1024
_MAX_ERROR_BYTES = 4096
# Before each repetition; they begin anew whenever more of the item is read than ever before.
PAUSES = (0.2, 1.0, 4.0)
# S3 and Azure both have it in the XML of an error.
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_REPEATED = {
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_STOPPED = "the verification was ended"


class _Away(Exception):
    """The store does not answer, or breaks off; the message says how."""


class _Changed(Exception):
    """The object is no longer the one that was begun."""


@dataclass
class _Reading:
    """What has been read of one item so far; ``etag`` names the object that it was read of."""

    received: int = 0
    digest: Any = field(default_factory=lambda: md5(usedforsecurity=False))
    etag: str | None = None

    def restart(self) -> None:
        """Forget what was read."""
        self.received, self.digest = 0, md5(usedforsecurity=False)

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that ask for what is missing."""
        if not self.received or self.etag is None:
            return {}
        return {"Range": f"bytes={self.received}-", "If-Match": self.etag}


class ItemReader:
    """Reads items, several at a time if called by several threads.

    :param url_of: returns a signed URL of an item, which still works for a while.
    :param progress: called with a number of bytes as they arrive; what is repeated counts again.
    :param pauses: in seconds, before each repetition of a request that failed.
    """

    def __init__(
        self,
        manager: urllib3.PoolManager,
        url_of: Callable[[Item], str],
        progress: Progress,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._manager, self._url_of = manager, url_of
        self._progress, self._pauses = progress, pauses
        self._lock, self._is_stopped = threading.Lock(), threading.Event()

    def stop(self) -> None:
        """End what is being read, and report no more progress."""
        with self._lock:
            self._is_stopped.set()
        self._manager.clear()

    def read(self, item: Item) -> ComparedItem:
        """Read an item, and compare it with the manifest.

        :raises StorageAway: if the store does not answer, also when it is repeated.
        """
        reading, furthest, failures = _Reading(), 0, 0
        while True:
            try:
                return self._attempt(item, reading)
            except _Changed:
                reading = _Reading()
                reason = "changes while it is read"
            except _Away as error:
                reason = str(error)
            # What is read once more is no progress, or an item that keeps changing has no end.
            failures = 0 if reading.received > furthest else failures + 1
            furthest = max(furthest, reading.received)
            if failures > len(self._pauses) or self._is_stopped.is_set():
                raise StorageAway("The store", f"could not be read: {reason}")
            self._is_stopped.wait(self._pauses[max(failures - 1, 0)] if self._pauses else 0)

    def _attempt(self, item: Item, reading: _Reading) -> ComparedItem:
        if self._is_stopped.is_set():
            raise _Away(_STOPPED)
        url = self._url_of(item)
        try:
            response = self._manager.request(
                "GET",
                url,
                headers={"Accept-Encoding": "identity", **reading.headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
            try:
                return self._answered(item, reading, response)
            finally:
                # Ends the connection, unless the body was read to its end.
                response.close()
        except (OSError, HTTPError) as error:
            # Not chained: urllib3's own message holds the URL.
            raise _Away(no_answer(self._manager, urlsplit(url).hostname, error)) from None

    def _answered(
        self, item: Item, reading: _Reading, response: urllib3.BaseHTTPResponse
    ) -> ComparedItem:
        if response.status == HTTPStatus.NOT_FOUND:
            return ComparedItem(item, Result.MISSING)
        if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return ComparedItem(item, Result.UNREADABLE, reason=_refusal(response))
        if response.status == HTTPStatus.OK:
            # From the start, also if a proxy has ignored the range.
            reading.restart()
            size = response.length_remaining
            if size is not None and item.size_in_bytes not in (None, size):
                return compared(item, Content(size, None))
        elif not _begins_at(response, reading.received):
            raise _Changed
        reading.etag = _strong_etag(response)
        for piece in response.stream(_PIECE_BYTES, decode_content=False):
            self._received(reading, piece)
        return compared(item, Content(reading.received, reading.digest.hexdigest()))

    def _received(self, reading: _Reading, piece: bytes) -> None:
        reading.digest.update(piece)
        reading.received += len(piece)
        with self._lock:
            if self._is_stopped.is_set():
                raise _Away(_STOPPED)
            self._progress(len(piece))


def _begins_at(response: urllib3.BaseHTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _strong_etag(response: urllib3.BaseHTTPResponse) -> str | None:
    """Return the ETag, or None if it is weak: no ``If-Match`` is true of that (section 13.1.1)."""
    etag = response.headers.get("ETag")
    return None if etag is None or etag.startswith("W/") else etag


def _refusal(response: urllib3.BaseHTTPResponse) -> str:
    """Return why an item cannot be read.

    :raises _Changed: if the object is another one by now.
    :raises _Away: if it may help to repeat the request.
    """
    status = response.status
    if status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        raise _Changed
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _REPEATED:
        raise _Away(f"it answered {status}")
    text = response.read(_MAX_ERROR_BYTES).decode(errors="replace")
    code = _CODE.search(text)
    return f"the store answered {status}{f' {code[1]}' if code else ''}"
