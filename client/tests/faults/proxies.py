"""Proxies between the client and dserver, and between the client and the store, that fail.

One fault at one request: it is lost on the way, or its answer is, or is cut; somebody answers with
an error that passes, or that says the URL has ended, or with something that is no answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.proxy import Cut, Fault, Instead, Request, StoreProxy

# Instead of passing the request on, or of passing its answer on.
BEFORE: dict[str, Any] = {
    "lost": Fault.DROPPED,
    "500": Instead(500, b"<Error><Code>InternalError</Code></Error>"),
    "503": Instead(503, b"<Error><Code>SlowDown</Code></Error>", {"Retry-After": "0"}),
    "429": Instead(429, b"", {"Retry-After": "0"}),
    "maintenance": Instead(200, b"<html>Back soon</html>", {"Content-Type": "text/html"}),
}
AFTER: dict[str, Any] = {"no answer": Fault.DROPPED, "half a body": Cut(0.5), "no body": Cut(0)}
# What only a store says: that a URL has ended, or that other bytes have arrived.
STORES: dict[str, Any] = {
    "expired": Instead(
        403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    ),
    "bad digest": Instead(400, b"<Error><Code>BadDigest</Code></Error>"),
}
FAULTS = {**BEFORE, **AFTER}
ALL = {**FAULTS, **STORES}


@dataclass(frozen=True)
class Upstream:
    """A server that a proxy is in front of."""

    endpoint: str


class ServerProxy(StoreProxy):
    """A proxy in front of dserver."""

    def __init__(self, url: str) -> None:
        super().__init__(Upstream(url))  # type: ignore[arg-type]


class Faults:
    """One fault of a proxy, and what was PUT through it and confirmed, by path and part.

    :param at: the number of the request that fails, or something in its target; only once.
    """

    def __init__(self, proxy: StoreProxy, kind: str = "lost", at: int | str = 0) -> None:
        self.puts: Counter[str] = Counter()
        self.has_failed = False
        self._proxy, self._kind, self._at = proxy, kind, at

    def __enter__(self) -> Faults:
        """Count requests from now on."""
        self._proxy.forget()
        self._proxy.before, self._proxy.after = self._before, self._after
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.heal()

    def _before(self, request: Request) -> Any:
        return ALL[self._kind] if self._kind not in AFTER and self._fails(request) else None

    def _after(self, request: Request) -> Any:
        if self._kind in AFTER and self._fails(request):
            return AFTER[self._kind]
        if request.method == "PUT":
            parts = urlsplit(request.target)
            number = parse_qs(parts.query).get("partNumber", [])
            self.puts[" partNumber ".join([parts.path, *number])] += 1
        return None

    def _fails(self, request: Request) -> bool:
        is_it = (
            request.number == self._at
            if isinstance(self._at, int)
            else not self.has_failed and self._at in request.target
        )
        self.has_failed |= is_it
        return is_it
