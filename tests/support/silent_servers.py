"""Stores that are of no use: they take connections, and then say nothing, or too slowly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum

from tests.support.dserver import Account, Bucket

# With what tells either store from a proxy in front of it.
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 100000\r\n"
    b'ETag: "d41d8cd98f00b204e9800998ecf8427e"\r\nx-ms-request-id: silent\r\n\r\n'
)
KEY = "a2V5"


class Manner(Enum):
    """What is sent after a request, one byte every tenth of a second."""

    NOTHING = b""
    HEADERS = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10_000
    BODY = b"<" * 10_000


class SilentStore:
    """A store at ``port``."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, name: str = "silent") -> Bucket:
        return Bucket(name, self.endpoint, "AK", "SK")

    def account(self, name: str = "silent") -> Account:
        return Account(name, f"{self.endpoint}/{name}", KEY)

    def close(self) -> None:
        self._ended.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._keep, args=(connection,), daemon=True).start()

    def _keep(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while connection.recv(65536):
                if self._manner is Manner.BODY:
                    connection.sendall(_HEAD)
                for byte in self._manner.value:
                    if self._ended.wait(0.1):
                        return
                    connection.sendall(bytes([byte]))
                self._ended.wait()


@contextmanager
def silent(manner: Manner = Manner.NOTHING) -> Iterator[SilentStore]:
    """Keep such a store until the end of the block."""
    store = SilentStore(manner)
    try:
        yield store
    finally:
        store.close()
