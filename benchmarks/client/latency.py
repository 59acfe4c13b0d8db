"""A TCP proxy that adds latency, and takes no bandwidth away.

What arrives is sent on half a round trip later, in both directions. A new connection costs one
round trip more, as a TCP handshake does. Bytes under way are kept in memory, as many as arrive in
that time: nothing waits for an acknowledgement.
Started by ``python -m benchmarks.client.latency PORT SECONDS``: writes its own port as the first
line of standard output. For every line of standard input it writes a line with the bytes so far, to
the port and from it, and it ends with standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from typing import Any

_MAX_UNDER_WAY = 2**26  # bytes per connection and direction


class Proxy:
    """Where it leads to, seconds of a round trip, and the bytes in each direction."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port, self.seconds = port, seconds
        self.sent, self.received = 0, 0


class _End(asyncio.Protocol):
    """One end of a proxied connection; what it receives goes to the other end, later."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._not_before = 0.0
        self._timer: Any = None
        self._is_paused = self._may_write = False
        self.transport: Any = None
        self.other: _End | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=2**22)
        self._may_write = True
        if self.other is not None:
            self.other.send_on()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > _MAX_UNDER_WAY and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._later(data)

    def eof_received(self) -> bool:
        self._later(b"")
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self._may_write = False
        self._later(b"")

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        if self.other is not None:
            self.other.send_on()

    def _later(self, data: bytes) -> None:
        due = max(self._loop.time(), self._not_before) + self._proxy.seconds / 2
        self._under_way.append((due, data))
        if self._timer is None:
            self.send_on()

    def send_on(self) -> None:
        """Send on what is due; without latency, at once."""
        self._timer = None
        other = self.other
        while self._under_way and other is not None and other.may_write:
            due, data = self._under_way[0]
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.send_on)
                return
            self._under_way.popleft()
            self._send(other, data)

    @property
    def may_write(self) -> bool:
        """Return whether this end takes more bytes now."""
        return self._may_write

    def _send(self, other: _End, data: bytes) -> None:
        if not data:
            other.transport.close()
            return
        self.count(len(data))
        self._bytes -= len(data)
        other.transport.write(data)
        if self._is_paused and self._bytes < _MAX_UNDER_WAY // 2:
            self._is_paused = False
            self.transport.resume_reading()

    def count(self, length: int) -> None:
        """Count bytes that are sent on."""


class _Client(_End):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # The kernel has accepted at once: the client would send a round trip after its SYN.
        self._not_before = self._loop.time() + self._proxy.seconds
        self.other = _Target(self._proxy)
        self.other.other = self
        self._connecting = self._loop.create_task(self._connect(self.other))

    async def _connect(self, target: _End) -> None:
        try:
            await self._loop.create_connection(lambda: target, "127.0.0.1", self._proxy.port)
        except OSError:
            self.transport.abort()

    def count(self, length: int) -> None:
        self._proxy.sent += length


class _Target(_End):
    def count(self, length: int) -> None:
        self._proxy.received += length


async def _serve(port: int, seconds: float) -> None:
    proxy = Proxy(port, seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(proxy), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps([proxy.sent, proxy.received]), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
