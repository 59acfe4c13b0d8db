"""Files on their way to a store: streamed from disk through signed URLs, a few at a time.

Knows HTTP and no store: what came with a URL is sent verbatim. Goes through the proxies of the
environment and trusts its certificates, as boto does. Its errors hold no URL, and nothing here logs
one.
"""

from __future__ import annotations

import os
import ssl
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from multiprocessing.pool import ThreadPool
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.shares.local_files import LocalFile, Told
from dserver_signed_url_plugin.storage.values import SignedRequest

_AT_ONCE = 4
_PATIENCE = 60  # seconds
# Seconds before each attempt; the first repetition is for a connection that was kept too long.
_PAUSES = (0, 0, 2)


class TransferFailed(SignedURLError):
    """The store did not take a file; the same can be sent again.

    ``relpath`` says which, and ``refused`` whether the store said so, to this URL, by a status.
    """

    status, slug = 502, "not-sent"

    def __init__(self, file: LocalFile, reason: str, refused: bool) -> None:
        super().__init__(
            f"{str(file.path)!r} was not stored: {reason}. The same command goes on where it "
            "stopped."
        )
        self.relpath, self.refused = file.item.relpath, refused


class ChangedFile(SignedURLError):
    """A file is no longer what was announced."""

    status, slug = 409, "changed-file"


@dataclass(frozen=True)
class Transfer:
    """A file, with its size and MD5, and where to PUT it."""

    file: LocalFile
    request: SignedRequest


def send(parcels: Sequence[Transfer], told: Told) -> None:
    """PUT every file; returns when the store has them all.

    :param told: is called with a number of bytes, as they leave; what is repeated counts again.
    :raises TransferFailed: at the first file that the store does not take.
    :raises ChangedFile: at the first that is not as announced; the store refuses it by its MD5.
    """
    if not parcels:
        return
    sender = _Sender(told)
    # The threads of this pool, unlike an executor's, are not waited for by whoever interrupts.
    with ThreadPool(min(_AT_ONCE, len(parcels))) as pool:
        try:
            for _ in pool.imap_unordered(sender.put, parcels):
                pass
        finally:
            sender.stop()


class _Sender:
    """One sending: counts bytes, and keeps connections for the next file."""

    def __init__(self, told: Told) -> None:
        self._told, self._telling = told, threading.Lock()
        self._idle: defaultdict[str, list[HTTPConnection]] = defaultdict(list)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Count no more, begin nothing, and let go of what is not in use."""
        self._stopped.set()
        for connections in list(self._idle.values()):
            while connections:
                connections.pop().close()

    def put(self, parcel: Transfer) -> None:
        """PUT one file; again, if the connection broke or the store is unwell."""
        host = urlsplit(parcel.request.url).hostname
        reason, refused = "the sending was stopped", False
        for pause in _PAUSES:
            if self._stopped.wait(pause):
                break
            try:
                status = self._status(parcel)
            except (OSError, HTTPException) as error:
                reason = f"{host} does not answer ({_words(error)})"
                continue
            if status < 300:
                return
            reason, refused = f"{host} answered {status}", status < 500
            if refused:
                break
        raise TransferFailed(parcel.file, reason, refused)

    def _status(self, parcel: Transfer) -> int:
        parts = urlsplit(parcel.request.url)
        headers = {"Content-Length": str(parcel.file.item.size_in_bytes), **parcel.request.headers}
        target, proxy = f"{parts.path}?{parts.query}", _proxy(parts)
        if proxy is not None and parts.scheme == "http":
            target, headers = parts.geturl(), headers | _authorization(proxy)
        connection = self._connection(parts, proxy)
        stored = False
        try:
            if connection.sock is None:
                connection.connect()
            # A store that refuses need not read to the end; what it says is worth more than that.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("PUT", target, self._body(parcel.file), headers)
            answer = connection.getresponse()
            answer.read()
            stored = answer.status < 300
            return answer.status
        finally:
            if stored and not self._stopped.is_set():
                self._idle[parts.netloc].append(connection)
            else:
                connection.close()

    def _connection(self, parts: SplitResult, proxy: SplitResult | None) -> HTTPConnection:
        """Return a connection to an address, kept or new."""
        with suppress(IndexError):
            return self._idle[parts.netloc].pop()
        next_hop = parts if proxy is None else proxy
        host, port = next_hop.hostname or "", next_hop.port
        if parts.scheme != "https":
            return HTTPConnection(host, port, timeout=_PATIENCE)
        connection = HTTPSConnection(host, port, timeout=_PATIENCE, context=self._trust)
        if proxy is not None:
            connection.set_tunnel(parts.netloc, headers=_authorization(proxy))
        return connection

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        # Of OpenSSL's own variables, such as SSL_CERT_FILE, it takes notice by itself.
        bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
        return ssl.create_default_context(cafile=bundle)

    def _body(self, file: LocalFile) -> Iterator[bytes]:
        """Yield what was announced, as far as the file still holds it."""
        digest, left = md5(usedforsecurity=False), file.item.size_in_bytes or 0
        for block in file.blocks():
            # What was appended since is not part of it.
            part = block[:left]
            yield part
            digest.update(part)
            left -= len(part)
            self._tell(len(part))
            if not left:
                break
        if left or digest.hexdigest() != file.item.hash:
            raise ChangedFile(
                f"{str(file.path)!r} changed while it was sent; share it again when it is complete."
            )

    def _tell(self, sent: int) -> None:
        with self._telling:
            if not self._stopped.is_set():
                self._told(sent)


def _proxy(parts: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment names for an address, if any."""
    named = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    return None if named is None else urlsplit(named if "://" in named else f"//{named}")


def _authorization(proxy: SplitResult) -> dict[str, str]:
    """Return the header for a proxy that asks for user and password (RFC 7617)."""
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _words(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
