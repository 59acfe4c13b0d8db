"""Uploads files, or parts of them, through signed URLs, four at a time, read while they are sent.

Knows HTTP and no store: the headers that came with a URL are sent verbatim. No error holds a
signature.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from multiprocessing.pool import ThreadPool
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.progress import Progress
from dserver_signed_url_plugin.signed_http import (
    UnusableConnections,
    causes,
    connections,
    no_answer,
    proxy_name,
)
from dserver_signed_url_plugin.storage.values import SignedRequest

CONCURRENCY = 4


class _Retry(urllib3.Retry):
    """Repeats nothing where a certificate is not trusted, because no repetition helps."""

    def increment(self, *args: Any, **kwargs: Any) -> Any:
        error = kwargs.get("error")
        if error and isinstance(causes(error)[-1], ssl.SSLCertVerificationError):
            raise error
        return super().increment(*args, **kwargs)


# A PUT of the same bytes is idempotent. The first repetition, for a connection that the store has
# closed meanwhile, is immediate; the second waits two seconds.
_RETRIES = _Retry(
    total=2,
    status_forcelist=range(500, 600),
    allowed_methods={"PUT"},
    backoff_factor=1,
    raise_on_status=False,
    respect_retry_after_header=False,
)


@dataclass(eq=False)
class TransferFailed(SignedURLError):
    """The store did not take a file; the same file can be sent again.

    ``relpath`` names the item, and ``refused`` tells whether the store refused this URL (4xx).
    """

    status, slug = 502, "not-sent"
    sentence = (
        "{self.path!r} was not stored: {self.reason}. The same command goes on where it stopped."
    )

    path: str
    relpath: str
    reason: str
    refused: bool

    @classmethod
    def of(cls, content: Content, reason: str, *, refused: bool = False) -> TransferFailed:
        """Return the failure to send a content."""
        return cls(content.path, content.relpath, reason, refused)


class Content(Protocol):
    """What is sent in one request: ``path`` is how messages call it."""

    @property
    def path(self) -> str: ...

    @property
    def relpath(self) -> str: ...

    @property
    def size_in_bytes(self) -> int: ...

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes in blocks; called again for each attempt."""


@dataclass(frozen=True)
class Transfer:
    """A file or a part of one, and the request that stores it."""

    content: Content
    request: SignedRequest


def send(transfers: Sequence[Transfer], progress: Progress) -> None:
    """PUT every file, or part of one, to one store; return when it has them all.

    :param progress: called with a number of bytes as they leave; what is repeated counts again.
    After the first failure nothing else is begun, but what is on its way is waited for: it need not
    be sent again.

    :raises TransferFailed: if the store does not take one of them.
    :raises ChangedFile: if one is not as announced; the store refuses it by its MD5.
    """
    if not transfers:
        return
    sender = Sender(transfers[0], progress)
    # Unlike an executor's, the threads of this pool are not waited for on an interruption.
    with ThreadPool(min(CONCURRENCY, len(transfers))) as pool:
        try:
            failures = [
                failure
                for failure in pool.imap_unordered(sender.put_unless_failed, transfers)
                if failure
            ]
        finally:
            sender.stop()
    if failures:
        raise failures[0]


class Sender:
    """Puts contents through one connection pool, and counts bytes until it is stopped.

    :param first: one of the transfers, which all go to one store.
    :raises TransferFailed: if the environment's proxy or certificates cannot be used.
    """

    def __init__(self, first: Transfer, progress: Progress) -> None:
        try:
            self._pool_manager = connections(first.request.url, CONCURRENCY)
        except UnusableConnections as error:
            raise TransferFailed.of(first.content, str(error)) from None
        self._progress = progress
        self._lock, self._stopped, self._failed = threading.Lock(), False, False

    def stop(self) -> None:
        """Report no more progress, and close idle connections."""
        with self._lock:
            self._stopped = True
        self._pool_manager.clear()

    def put_unless_failed(self, transfer: Transfer) -> SignedURLError | None:
        """PUT one of them, unless another has failed; return the failure."""
        if not self._failed:
            try:
                self.put(transfer)
            except SignedURLError as failure:
                self._failed = True
                return failure
        return None

    def put(self, transfer: Transfer) -> None:
        """PUT one of them; again if the connection broke or the store answered 5xx.

        :raises TransferFailed: if the store does not take it.
        """
        content, request = transfer.content, transfer.request
        host = urlsplit(request.url).hostname
        try:
            response = self._pool_manager.urlopen(
                "PUT",
                request.url,
                redirect=False,
                body=_Body(content, self._sent),
                headers={"Content-Length": str(content.size_in_bytes), **request.headers},
                retries=_RETRIES,
            )
        except (OSError, HTTPError) as error:
            # Not chained: urllib3's own message holds the URL.
            reason = no_answer(self._pool_manager, host, error)
            raise TransferFailed.of(content, reason) from None
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            reason = f"{proxy_name(self._pool_manager)} answered 407"
            raise TransferFailed.of(content, reason)
        if response.status >= 300:
            reason = f"{host} answered {response.status}"
            raise TransferFailed.of(content, reason, refused=response.status < 500)

    def _sent(self, count: int) -> None:
        with self._lock:
            if not self._stopped:
                self._progress(count)


@dataclass(frozen=True)
class _Body:
    """A content, read again for each attempt."""

    content: Content
    progress: Progress

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for block in self.content.blocks():
            yield block
            self.progress(len(block))
