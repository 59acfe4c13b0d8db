"""Requests per second: 32 clients at once, in this process, and one worker of eight threads."""

from __future__ import annotations

import socket
import threading
import time
from statistics import median
from typing import Any
from urllib.parse import quote

from dtoolcore.utils import generate_identifier

from benchmarks import routes
from benchmarks.server import Server, Site

CLIENTS, TURNS = 32, 5
# Answered by dserver alone, without a token: what the machine and the framework allow.
EMPTY = "/config/versions"


def measure(site: Site, seconds: float) -> dict[str, Any]:
    """Return requests per second and latency of GET item, and of a route that does nothing.

    They take turns, so that disturbances affect both.
    """
    with site.serving() as server:
        uri = routes.warm_up(server)
        item = f"/signed-urls/item/{quote(uri, safe='')}/{generate_identifier(routes.relpath(0))}"
        paths = {"GET item": item, "a route that does nothing": EMPTY}
        taken: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(TURNS):
            for name, path in paths.items():
                taken[name] += _load(server, path, seconds / TURNS)
        return {name: _summary(times, seconds) for name, times in taken.items()}


def _summary(taken: list[float], seconds: float) -> dict[str, float]:
    taken.sort()
    return {
        "per_second": len(taken) / seconds,
        "seconds": median(taken),
        "p95": taken[int(len(taken) * 0.95)],
    }


def _load(server: Server, path: str, seconds: float) -> list[float]:
    """Return how many seconds each request took."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {server.tokens['alice']}\r\n\r\n"
    ).encode()
    taken: list[float] = []
    end = time.monotonic() + seconds

    def client() -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            while time.monotonic() < end:
                started = time.monotonic()
                connection.sendall(request)
                _read(connection)
                taken.append(time.monotonic() - started)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def _read(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise SystemExit(f"Under load: {head.decode('latin-1')}")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
