"""An HTTP server that gives the answers it was told: what no local store can be made to say."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer; ``code`` is Azure's word for an error. Status 0: the connection is closed."""

    status: int = 200
    content: bytes = b""
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answering:
    """Gives ``answers`` in turn, the last one ever after, from ``with`` to the end of the block."""

    answers: list[Answer]
    requests: list[Asked] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    def __enter__(self) -> Answering:
        class Handler(_Handler):
            server_of = self

        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, request: Asked) -> Answer:
        with self._lock:
            self.requests.append(request)
            return self.answers[min(len(self.requests), len(self.answers)) - 1]

    @property
    def asked(self) -> list[str]:
        """The method and target of each request."""
        return [f"{request.method} {request.target}" for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Answering

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers), body)
        self.server_of.connections.add(self.client_address)
        answer = self.server_of.next(asked)
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        if answer.code is not None:
            self.send_header("x-ms-error-code", answer.code)
        length = {"Content-Length": str(len(answer.content))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = _serve

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
