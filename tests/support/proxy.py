"""A proxy in front of the store, for dserver alone.

People follow their signed URLs straight to the store; what passes here is what dserver asks of it.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from dserver_signed_url_plugin.environment import (
    BLOB_ENDPOINT,
    ENDPOINT,
    PUBLIC_BLOB_ENDPOINT,
    PUBLIC_ENDPOINT,
)
from tests.support.dserver import Account, Bucket

# Where dserver asks, and where people do.
_SETTINGS = {
    Account: (BLOB_ENDPOINT, PUBLIC_BLOB_ENDPOINT),
    Bucket: (ENDPOINT, PUBLIC_ENDPOINT),
}

# Source: AWS, "Error responses", NotImplemented.
_CHUNKS_REFUSED = (
    b"<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that "
    b"is not implemented</Message><Header>Transfer-Encoding</Header></Error>"
)


class Fault(Enum):
    """What the proxy may do instead of asking the store."""

    REFUSED = 403
    AWAY = 503
    DROPPED = 0


@dataclass(frozen=True)
class Request:
    """One request on its way to the store; ``headers`` may still be changed."""

    number: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def is_copy(self) -> bool:
        return "x-amz-copy-source" in self.headers

    def writes(self, ending: str) -> bool:
        """Return whether an object is put whose key ends so."""
        return self.method == "PUT" and urlsplit(self.target).path.endswith(ending)


def _as_they_are(_: Request, headers: dict[str, str]) -> dict[str, str]:
    return headers


@dataclass(frozen=True)
class Instead:
    """Another answer than the store's.

    :param length: what Content-Length says, where that is wrong.
    :param to_itself: whether it leads back to where it was asked for.
    """

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    to_itself: bool = False

    @classmethod
    def kept(cls, request: Request) -> Instead:
        """Say, as S3 does, that a body was kept."""
        return cls(200, headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


@dataclass(frozen=True)
class Cut:
    """The connection ends when so much of the answer's body has been sent, from 0 to 1."""

    share: float


def _let_pass(_: Request) -> Fault | Instead | Cut | None:
    return None


class StoreProxy:
    """Counts from ``with`` to the end of the block; ``before`` and ``after`` may interfere.

    Both are called in the proxy's threads: ``before`` the store is asked, with a fault to return if
    it shall not be, and ``after`` it has answered but dserver does not know yet. ``rewritten``
    makes another body, of the same length, of each that is answered, and ``headed`` other headers.
    Where it ``refuses_chunks`` it answers 501 to a body whose length is not said, as AWS does.
    """

    refuses_chunks = False

    def __init__(self, place: Bucket | Account) -> None:
        self._place = place
        self._upstream = urlsplit(place.endpoint).netloc
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.heal()

    def __enter__(self) -> StoreProxy:
        class Handler(_Handler):
            proxy = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        path = urlsplit(self._place.endpoint).path
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}{path}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def settings(self) -> dict[str, str]:
        """Return what lets dserver ask here, and sign for the store itself."""
        name = self._place.name.upper()
        internal, public = _SETTINGS[type(self._place)]
        return {f"{internal}{name}": self.endpoint, f"{public}{name}": self._place.endpoint}

    def public_settings(self) -> dict[str, str]:
        """Return what lets people follow their URLs here, while dserver asks the store itself."""
        _, public = _SETTINGS[type(self._place)]
        return {f"{public}{self._place.name.upper()}": self.endpoint}

    def forget(self) -> None:
        """Count from one again."""
        with self._lock:
            self.requests.clear()

    def heal(self) -> None:
        """Forward everything from now on."""
        self.before: Callable[[Request], Fault | Instead | Cut | None] = _let_pass
        self.after: Callable[[Request], Fault | Instead | Cut | None] = _let_pass
        self.rewritten: Callable[[bytes], bytes] = bytes
        self.headed = _as_they_are

    def fail(self, fault: Fault, at: int, until: int | None = None) -> None:
        """Count from one again, and answer requests number ``at`` to ``until`` with the fault."""
        self.forget()
        last = at if until is None else until
        self.before = lambda request: fault if at <= request.number <= last else None

    def note(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Request:
        with self._lock:
            request = Request(len(self.requests) + 1, method, target, headers, body)
            self.requests.append(request)
        return request


class _Handler(BaseHTTPRequestHandler):
    """One connection of dserver's; it has one of its own to the store."""

    protocol_version = "HTTP/1.1"
    # Header and body leave in two segments, which otherwise wait for each other.
    disable_nagle_algorithm = True
    proxy: StoreProxy

    def setup(self) -> None:
        super().setup()
        self._store = HTTPConnection(self.proxy._upstream, timeout=30)

    def handle(self) -> None:
        # Whoever was killed has left a connection behind.
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        self._store.close()
        with suppress(OSError):
            super().finish()

    def _forward(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        # Answered by http.server already.
        headers.pop("expect", None)
        if self.proxy.refuses_chunks and "transfer-encoding" in headers:
            self._body(headers)
            self._answer(501, {}, _CHUNKS_REFUSED)
            return
        body = self._body(headers)
        request = self.proxy.note(self.command, self.path, headers, body)
        fault = self.proxy.before(request)
        if fault is None:
            status, answered, content = self._ask(request, body)
            fault = self.proxy.after(request)
        if fault is Fault.DROPPED:
            self._drop()
        elif isinstance(fault, Instead):
            self._answer_instead(fault)
        elif isinstance(fault, Cut):
            sent = content[: int(len(content) * fault.share)]
            headers = {n: v for n, v in answered.items() if n.lower() != "content-length"}
            self._answer(status, {**headers, "Content-Length": str(len(content) or 1)}, sent)
            self._drop()
        elif fault is not None:
            self._answer(fault.value, {}, b"")
        else:
            headers = self.proxy.headed(request, answered)
            self._answer(status, headers, self.proxy.rewritten(content))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.pop("transfer-encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(headers.get("content-length", 0)))
        headers["content-length"] = str(len(body))
        return body

    def _chunks(self) -> Any:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _ask(self, request: Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            return self._ask_once(request, body)
        except (HTTPException, OSError):
            # The store closes connections that have been idle for a while.
            self._store.close()
            return self._ask_once(request, body)

    def _ask_once(self, request: Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        # Whoever takes this for the proxy of the environment names the store before the path.
        target = urlsplit(request.target)._replace(scheme="", netloc="").geturl()
        self._store.request(request.method, target, body, request.headers)
        answer = self._store.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        names = {name.lower() for name in headers}
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    def _answer_instead(self, wrong: Instead) -> None:
        headers = dict(wrong.headers)
        if wrong.to_itself:
            headers["Location"] = self.path
        if wrong.length is not None:
            headers["Content-Length"] = str(wrong.length)
        self._answer(wrong.status, headers, b"" if self.command == "HEAD" else wrong.content)
        if wrong.length is not None:
            self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Say nothing: URLs hold signatures."""
