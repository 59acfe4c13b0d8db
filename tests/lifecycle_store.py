"""A store that keeps one bucket's lifecycle document byte for byte, as the local store does not.

What it keeps of a PUT, and answers to a GET, can be chosen: real stores differ in both.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.dserver import Bucket


@dataclass
class LifecycleStore:
    """The store, from ``with`` to the end of the block.

    ``stale`` are the answers of the next GETs, whatever is kept; ``keeps`` is what becomes of a
    document that is PUT; ``refuses`` a status and a code for every request.
    """

    document: bytes | None = None
    stale: list[bytes | None] = field(default_factory=list)
    keeps: Callable[[bytes], bytes] = bytes
    refuses: tuple[int, str] | None = None
    puts: int = 0

    def __enter__(self) -> Bucket:
        class Handler(_Handler):
            store = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return Bucket("odd", f"http://127.0.0.1:{self._server.server_port}", "KEY", "secret")

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: LifecycleStore

    def do_GET(self) -> None:
        store = self.store
        document = store.stale.pop(0) if store.stale else store.document
        if document is None:
            self._answer(404, _error("NoSuchLifecycleConfiguration"))
        else:
            self._answer(200, document)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        if self.headers["Content-MD5"] != md5:
            self._answer(400, _error("MissingContentMD5"))
            return
        self.store.document = self.store.keeps(body)
        self.store.puts += 1
        self._answer(200)

    def do_DELETE(self) -> None:
        self.store.document = None
        self._answer(204)

    def _answer(self, status: int, content: bytes = b"") -> None:
        if self.store.refuses:
            status, code = self.store.refuses
            content = _error(code)
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode() if code else b""
