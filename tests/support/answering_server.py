"""An HTTP server that gives the answers it was told: what no local store can be made to say."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer; ``code`` is Azure's word for an error."""

    status: int = 200
    content: bytes = b""
    code: str | None = None


@dataclass
class Answering:
    """Gives ``answers`` in turn, the last one ever after, from ``with`` to the end of the block."""

    answers: list[Answer]
    asked: list[str] = field(default_factory=list)

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

    def next(self, target: str) -> Answer:
        with self._lock:
            self.asked.append(target)
            return self.answers[min(len(self.asked), len(self.answers)) - 1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Answering

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server_of.next(f"{self.command} {self.path}")
        self.send_response_only(answer.status)
        if answer.code is not None:
            self.send_header("x-ms-error-code", answer.code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_GET = do_HEAD = do_PUT = do_DELETE = _serve

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
