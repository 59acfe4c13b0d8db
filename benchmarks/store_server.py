"""Serves the store of benchmarks.store on asyncio.

Started by ``python -m benchmarks.store_server PORT_FILE``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from benchmarks.store import BUCKET, CONTROL, Answer, Body, Request, Store, answer

_CHUNK = bytes(2**20)


class _Connection(asyncio.Protocol):
    """One connection; requests are answered in the order in which they come."""

    def __init__(self, store: Store) -> None:
        self._store, self._received = store, bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._body, self._missing, self._zeros = Body(), 0, 0
        self._is_full = False
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=4 * len(_CHUNK))

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._send_zeros()

    def connection_lost(self, _: Exception | None) -> None:
        self._is_full = True

    def data_received(self, data: bytes) -> None:
        if self._missing and len(data) <= self._missing:
            self._take(data)
            return
        self._received += data
        while self._head is not None or self._read_head():
            if not self._received and self._missing:
                return
            with memoryview(self._received) as received:
                body = bytes(received[: self._missing])
            del self._received[: len(body)]
            self._take(body)

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        method, target, _ = first.split(" ")
        self._head = method, target, headers
        self._body, self._missing = Body(), int(headers.get("content-length", 0))
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _take(self, data: bytes) -> None:
        """Take some of the body, and answer when it is complete."""
        self._body.add(data)
        self._missing -= len(data)
        if self._missing == 0 and self._head is not None:
            answered = self._answered(*self._head, self._body)
            self._head = None
            self._transport.write(answered.encoded())
            self._zeros += answered.zeros
            self._send_zeros()

    def _send_zeros(self) -> None:
        while self._zeros and not self._is_full:
            chunk = _CHUNK[: self._zeros]
            self._zeros -= len(chunk)
            self._transport.write(chunk)

    def _answered(self, method: str, target: str, headers: dict[str, str], body: Body) -> Answer:
        if target.startswith(CONTROL):
            self._store.declare(body.content or b"")
            counts = {"requests": self._store.requests, "again": self._store.again}
            return Answer(200, json.dumps(counts).encode())
        self._store.requests += 1
        parts = urlsplit(target)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return answer(self._store, Request(method, key, query, headers, body))


async def _serve(port_file: Path) -> None:
    store = Store()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(store), "127.0.0.1", 0)
    written = port_file.with_suffix(".new")
    written.write_text(str(server.sockets[0].getsockname()[1]))
    written.rename(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
