"""HTTP connections that observe the deadline of the call.

The timeout of a socket starts again with every byte; these connections wait only for the time that
is left until the deadline. Without a deadline they behave as usual. The time that the system takes
to resolve host names is not limited.
"""

from __future__ import annotations

import http.client
import io
import socket
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dserver_signed_url_plugin.storage import deadline


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the deadline."""

    def __init__(self, connected: socket.socket, raw: io.RawIOBase) -> None:
        self._socket, self._raw = connected, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while (seconds := deadline.left()) is not None:
            self._socket.settimeout(seconds)
            try:
                return self._socket.recv_into(buffer)
            except TimeoutError:
                # The deadline may have been extended; if not, left() raises TimeoutError.
                continue
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response that is read until the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw: Any = self.fp.detach()
        self.fp = io.BufferedReader(_DeadlineReader(sock, raw))


class DeadlineConnection(http.client.HTTPConnection):
    """Mixin for connection classes: connects, sends and reads until the deadline."""

    response_class = _Response

    def connect(self) -> None:
        """Connect in the time that is left."""
        seconds = deadline.left()
        if seconds is not None:
            own = self.timeout if isinstance(self.timeout, int | float) else seconds
            self.timeout = min(seconds, own)
        super().connect()

    def send(self, data: Any) -> None:
        """Send in the time that is left; the timeout of a socket applies to all of the data."""
        seconds = deadline.left()
        if seconds is not None and self.sock is not None:
            self.sock.settimeout(seconds)
        super().send(data)


class _Pool(HTTPConnectionPool):
    class ConnectionCls(DeadlineConnection, HTTPConnection):
        """A connection that keeps the call's deadline."""


class _SecurePool(HTTPSConnectionPool):
    class ConnectionCls(DeadlineConnection, HTTPSConnection):
        """The same over TLS."""


# For ``pool_classes_by_scheme`` of urllib3's managers.
POOLS = {"http": _Pool, "https": _SecurePool}
