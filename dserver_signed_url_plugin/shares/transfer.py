"""Uploads local files through signed URLs, a few at a time, streamed from disk.

Knows HTTP and no store: the headers that came with a URL are sent verbatim. Proxies and
certificates are those of the environment, as for boto3. Neither errors nor log lines hold a
signature.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5
from http import HTTPStatus
from multiprocessing.pool import ThreadPool
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, ProxyError

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.shares.local_files import LocalFile, Progress
from dserver_signed_url_plugin.storage.values import SignedRequest

_CONCURRENCY = 4
_TIMEOUT = 60  # seconds, to connect and for each read
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # http.client's words


class _Retry(urllib3.Retry):
    """Repeats nothing where a certificate is not trusted, because no repetition helps."""

    def increment(self, *args: Any, **kwargs: Any) -> Any:
        error = kwargs.get("error")
        if error and isinstance(_causes(error)[-1], ssl.SSLCertVerificationError):
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

    file: LocalFile
    reason: str
    refused: bool

    @property
    def path(self) -> str:
        return str(self.file.path)

    @property
    def relpath(self) -> str:
        return self.file.item.relpath


@dataclass(eq=False)
class ChangedFile(SignedURLError):
    """A file is no longer what was announced."""

    status, slug = 409, "changed-file"
    sentence = "{self.path!r} changed while it was sent; share it again when it is complete."

    path: str


@dataclass(frozen=True)
class Transfer:
    """A file, with its size and MD5, and the request that stores it."""

    file: LocalFile
    request: SignedRequest


def send(transfers: Sequence[Transfer], progress: Progress) -> None:
    """PUT every file to one store; return when it has them all.

    :param progress: called with a number of bytes as they leave; what is repeated counts again.
    :raises TransferFailed: at the first file that the store does not take.
    :raises ChangedFile: at the first that is not as announced; the store refuses it by its MD5.
    """
    if not transfers:
        return
    for name in ("connection", "connectionpool", "util.retry"):
        logging.getLogger(f"urllib3.{name}").addFilter(_hide_queries)
    try:
        pool_manager = _pool_manager(transfers[0].request.url)
    except ValueError:
        # Not chained: the message may hold the password of the proxy.
        reason = "the environment's variable for a proxy holds no URL of one that can be used"
        raise TransferFailed(transfers[0].file, reason, refused=False) from None
    except OSError as error:
        reason = f"the certificates cannot be used ({_cause(error)})"
        raise TransferFailed(transfers[0].file, reason, refused=False) from None
    sender = _Sender(pool_manager, progress)
    # Unlike an executor's, the threads of this pool are not waited for on an interruption.
    with ThreadPool(min(_CONCURRENCY, len(transfers))) as pool:
        try:
            for _ in pool.imap_unordered(sender.put, transfers):
                pass
        finally:
            sender.stop()


class _Sender:
    """Puts files through one connection pool, and counts bytes until it is stopped."""

    def __init__(self, pool_manager: urllib3.PoolManager, progress: Progress) -> None:
        self._pool_manager, self._progress = pool_manager, progress
        self._lock, self._stopped = threading.Lock(), False

    def stop(self) -> None:
        """Report no more progress, and close idle connections."""
        with self._lock:
            self._stopped = True
        self._pool_manager.clear()

    def put(self, transfer: Transfer) -> None:
        """PUT one file; again if the connection broke or the store answered 5xx."""
        file, request = transfer.file, transfer.request
        host = urlsplit(request.url).hostname
        try:
            response = self._pool_manager.urlopen(
                "PUT",
                request.url,
                redirect=False,
                body=_Body(file, self._sent),
                headers={"Content-Length": str(file.item.size_in_bytes), **request.headers},
                retries=_RETRIES,
            )
        except (OSError, HTTPError) as error:
            # Not chained: urllib3's own message holds the URL.
            reason = self._no_answer(host, error)
            raise TransferFailed(file, reason, refused=False) from None
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise TransferFailed(file, f"{self._proxy} answered 407", refused=False)
        if response.status >= 300:
            reason = f"{host} answered {response.status}"
            raise TransferFailed(file, reason, refused=response.status < 500)

    @property
    def _proxy(self) -> str:
        proxy = self._pool_manager.proxy
        return f"the proxy {proxy.host}" if proxy else "a proxy"

    def _no_answer(self, host: str | None, error: BaseException) -> str:
        causes = _causes(error)
        if refusal := _TUNNEL_REFUSED.match(str(causes[-1])):
            return f"{self._proxy} answered {refusal[1]}"
        failed = self._proxy if any(isinstance(each, ProxyError) for each in causes) else host
        return f"{failed} does not answer ({_cause(error)})"

    def _sent(self, count: int) -> None:
        with self._lock:
            if not self._stopped:
                self._progress(count)


@dataclass(frozen=True)
class _Body:
    """The announced content of a file, read again for each attempt."""

    file: LocalFile
    progress: Progress

    def __iter__(self) -> Iterator[bytes]:
        digest, left = md5(usedforsecurity=False), self.file.item.size_in_bytes or 0
        for block in self.file.blocks():
            # What has been appended since is not part of it.
            part = block[:left]
            yield part
            digest.update(part)
            left -= len(part)
            self.progress(len(part))
            if not left:
                break
        if left or digest.hexdigest() != self.file.item.hash:
            raise ChangedFile(str(self.file.path))


def _pool_manager(url: str) -> urllib3.PoolManager:
    """Return connections to a store, through the proxy that the environment names, if any."""
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        # OpenSSL's own variables, such as SSL_CERT_FILE, are read by OpenSSL.
        bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
        context = ssl.create_default_context(cafile=bundle)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if proxy is None:
        return urllib3.PoolManager(maxsize=_CONCURRENCY, timeout=_TIMEOUT, ssl_context=context)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    return urllib3.ProxyManager(
        proxy,
        proxy_headers=_proxy_headers(proxy),
        maxsize=_CONCURRENCY,
        timeout=_TIMEOUT,
        ssl_context=context,
    )


def _proxy_headers(proxy: str) -> dict[str, str]:
    """Return the header for a proxy that asks for a user name and password (RFC 7617)."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _cause(error: BaseException) -> str:
    """Return what the system said, without the URL that urllib3 puts around it."""
    last = _causes(error)[-1]
    return (isinstance(last, OSError) and last.strerror) or type(last).__name__


def _causes(error: BaseException) -> Sequence[BaseException]:
    """Return an error and those inside it, from urllib3's down to the system's."""
    for each in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(each, Exception):
            return [error, *_causes(each)]
    return [error]


def _hide_queries(record: logging.LogRecord) -> bool:
    """Take the query, which holds the signature, out of the URLs that urllib3 logs."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            each.partition("?")[0] if isinstance(each, str) else each for each in record.args
        )
    return True
