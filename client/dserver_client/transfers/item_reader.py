"""Read ranges of an item, even if its URL expires or connections break."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from dserver_client.errors import ClientError
from dserver_client.http import HTTP, READ_ERRORS, Response
from dserver_client.manifest import ManifestItem
from dserver_client.store_answers import (
    check_is_of_store,
    content_range,
    refusal,
    strong_etag,
)
from dserver_client.transfers.scheduler import Limit

# The bytes that a block has at most.
BLOCK = 1 << 18
# How often in a row an answer may break before a byte has come.
_FRUITLESS = 5
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 16.0  # seconds
# What stores answer to URLs that have expired, also by the credentials that signed them.
_SIGN_ANEW = frozenset({400, 401, 403, 410})
_IDENTITY = {"Accept-Encoding": "identity"}


class URLs(Protocol):
    """Signs the URLs of items.

    ``renewals`` is how often in a row another URL is worth trying if the store refuses one.
    """

    @property
    def renewals(self) -> int: ...

    def get(self, identifier: str) -> str:
        """Return the URL of an item."""

    def renewed(self, identifier: str, refused: str) -> str:
        """Return another URL than the one that the store has refused."""


class ObjectDiffers(ClientError):
    """The store's object is not the one that is wanted; the message says in what it differs."""


class ObjectMissing(ObjectDiffers):
    """The store does not have the object."""


class WrongSize(ObjectDiffers):
    """The store's object has another size than the manifest says."""


class NoRanges(ClientError):
    """The store answers with the whole object where a part of it was asked for."""


class _Broken(Exception):
    """The body of an answer ended too early; the cause says why, if that is known."""


class ItemReader:
    """Reads one item; several threads may read different ranges at the same time.

    All bytes are those of one object: the one whose ETag is given, else that of the first answer.
    """

    def __init__(
        self, http: HTTP, urls: URLs, item: ManifestItem, limit: Limit, etag: str | None = None
    ) -> None:
        self.item = item
        self.etag = etag
        self._http = http
        self._urls = urls
        self._limit = limit
        self._lock = threading.Lock()
        self._is_known = etag is not None

    def blocks(self, first: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``first`` up to ``end``, which is not included, in blocks.

        An answer that breaks is continued. Raise ObjectDiffers if the object is another one or has
        another size than the manifest says, NoRanges if the store does not answer with ranges,
        StoreRefused if it refuses a fresh URL, and Unavailable if the bytes do not come after
        several attempts, or if something else answers in the store's place.
        """
        failures = 0
        while first < end:
            before = first
            try:
                with self._answer(first, end) as response:
                    while first < end:
                        block = _read(response, min(BLOCK, end - first))
                        first += len(block)
                        self._limit.advance(len(block))
                        yield block
            except _Broken as broken:
                failures = 0 if first > before else failures + 1
                if failures > _FRUITLESS:
                    url = self._urls.get(self.item.identifier)
                    raise self._http.no_answer(url, broken.__cause__ or broken) from None
                if failures:
                    self._pause(min(_FIRST_DELAY * 2 ** (failures - 1), _LONGEST_DELAY))

    def md5(self, read: Callable[[int], None] | None = None) -> str:
        """Read the whole item, and return its MD5. Raise errors as ``blocks`` does.

        :param read: is called with the bytes of each block.
        """
        md5 = hashlib.md5(usedforsecurity=False)
        for block in self.blocks(0, self.item.size_in_bytes):
            self._limit.check()
            md5.update(block)
            if read is not None:
                read(len(block))
        return md5.hexdigest()

    def headers(self) -> Mapping[str, str]:
        """Return the headers of an answer that brings at most one byte, which tell its size.

        Raise errors as ``blocks`` does.
        """
        end = min(1, self.item.size_in_bytes)
        with self._answer(0, end) as response:
            headers: Mapping[str, str] = response.headers
            if end:
                # A connection is kept only if the answer is read to its end.
                with suppress(*READ_ERRORS):
                    response.read(end)
            return headers

    @contextmanager
    def _answer(self, first: int, end: int) -> Iterator[Response]:
        """Ask for a range, and close the connection unless all of the answer is read."""
        is_whole = (first, end) == (0, self.item.size_in_bytes)
        headers = dict(_IDENTITY)
        if not is_whole:
            headers["Range"] = f"bytes={first}-{end - 1}"
        if self.etag is not None:
            headers["If-Match"] = self.etag
        response = self._get(headers)
        try:
            self._check(response, first, end, is_whole=is_whole)
            yield response
        finally:
            response.close()

    def _get(self, headers: dict[str, str]) -> Response:
        """Ask with a URL that is signed anew as long as the store refuses it."""
        identifier = self.item.identifier
        url, renewals = self._urls.get(identifier), self._urls.renewals
        for renewal in range(renewals + 1):
            response = self._http.request(
                "GET", url, headers=headers, stream=True, pause=self._pause
            )
            if response.status not in _SIGN_ANEW or renewal == renewals:
                break
            url = self._urls.renewed(identifier, url)
        return response

    def _check(self, response: Response, first: int, end: int, *, is_whole: bool) -> None:
        """Raise an error unless the answer is what was asked for."""
        self._check_status(response, is_whole=is_whole)
        self._check_etag(strong_etag(response))
        size = self.item.size_in_bytes
        if is_whole:
            length = response.headers.get("Content-Length", "")
            if length.isdigit() and int(length) != size:
                raise WrongSize(f"it has {length} bytes instead of {size}")
            return
        answered = content_range(response)
        if answered is not None and answered[2] != size:
            raise WrongSize(f"it has {answered[2]} bytes instead of {size}")
        if answered is None or answered[:2] != (first, end):
            raise _Broken

    def _check_status(self, response: Response, *, is_whole: bool) -> None:
        if response.status in (200, 206):
            check_is_of_store(response, repr(self.item.relpath))
        if response.status == (200 if is_whole else 206):
            return
        if response.status == 412:
            raise ObjectDiffers("it has changed")
        if response.status == 416:
            raise WrongSize(f"it has less than {self.item.size_in_bytes} bytes")
        if response.status == 404:
            raise ObjectMissing("it is missing in the store")
        if response.status == 200:
            raise NoRanges("The store does not answer with ranges.")
        raise refusal(response, self.item.relpath)

    def _check_etag(self, etag: str | None) -> None:
        with self._lock:
            if not self._is_known:
                self.etag, self._is_known = etag, True
            elif etag != self.etag:
                raise ObjectDiffers("it has changed")

    def _pause(self, seconds: float) -> None:
        self._limit.slow_down()
        self._limit.pause(seconds)


def _read(response: Response, size: int) -> bytes:
    """Read a block as the store has it, whatever Content-Encoding says."""
    try:
        block: bytes = response.read(size, decode_content=False)
    except READ_ERRORS as error:
        raise _Broken from error
    if not block:
        raise _Broken
    return block
