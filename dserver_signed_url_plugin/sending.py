"""Files on their way to a store: streamed from disk through signed URLs, a few at a time.

Knows HTTP and no store: what came with a URL is sent verbatim. Goes through the proxies of the
environment, as curl and boto do. Its errors hold no URL, and nothing here logs one.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import md5
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from multiprocessing.pool import ThreadPool
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from dserver_signed_url_plugin.errors import SignedURLError
from dserver_signed_url_plugin.files import LocalFile, Told
from dserver_signed_url_plugin.storage.base import SignedRequest

_AT_ONCE = 4
_PATIENCE = 60  # seconds
# Seconds before each attempt; the first repetition is for a connection that was kept too long.
_PAUSES = (0, 0, 2)


class NotSent(SignedURLError):
    """The store did not take a file; the same can be sent again.

    ``relpath`` says which.
    """

    status, slug = 502, "not-sent"

    def __init__(self, file: LocalFile, reason: str) -> None:
        super().__init__(
            f"{str(file.path)!r} was not stored: {reason}. The same command goes on where it "
            "stopped."
        )
        self.relpath = file.item.relpath


class ChangedFile(SignedURLError):
    """A file is no longer what was announced."""

    status, slug = 409, "changed-file"


@dataclass(frozen=True)
class Parcel:
    """A file, with its size and MD5, and where to PUT it."""

    file: LocalFile
    request: SignedRequest


def send(parcels: Sequence[Parcel], told: Told) -> None:
    """PUT every file; returns when the store has them all.

    :param told: is called with a number of bytes, as they leave; what is repeated counts again.
    :raises NotSent: at the first file that the store does not take.
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

    def put(self, parcel: Parcel) -> None:
        """PUT one file; again, if the connection broke or the store is unwell."""
        host = urlsplit(parcel.request.url).hostname
        reason = "the sending was stopped"
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
            reason = f"{host} answered {status}"
            if status < 500:
                break
        raise NotSent(parcel.file, reason)

    def _status(self, parcel: Parcel) -> int:
        parts = urlsplit(parcel.request.url)
        headers = {"Content-Length": str(parcel.file.item.size_in_bytes), **parcel.request.headers}
        connection, target = self._connection(parts)
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

    def _connection(self, parts: SplitResult) -> tuple[HTTPConnection, str]:
        """Return a connection to an address, kept or new, and how the target is named on it."""
        target = f"{parts.path}?{parts.query}"
        proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
        if proxy is not None and parts.scheme == "http":
            target = parts.geturl()
        try:
            return self._idle[parts.netloc].pop(), target
        except IndexError:
            return _connection(parts, proxy), target

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


def _connection(parts: SplitResult, proxy: str | None) -> HTTPConnection:
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    if proxy is None:
        return kind(parts.netloc, timeout=_PATIENCE)
    via = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    connection = kind(via.hostname or "", via.port, timeout=_PATIENCE)
    if parts.scheme == "https":
        connection.set_tunnel(parts.netloc)
    return connection


def _words(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
