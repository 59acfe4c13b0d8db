"""A store that keeps one bucket's lifecycle document byte for byte, as the local store does not.

What it keeps of a PUT, and answers to a GET, can be chosen: real stores differ in both.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from tests.support.dserver import Bucket

_TRANSITION_MINIMUM = "x-amz-transition-default-minimum-object-size"


@dataclass
class LifecycleStore:
    """The store, from ``with`` to the end of the block.

    ``stale`` are the answers of the next GETs, whatever is kept; ``keeps`` is what becomes of a
    document that is PUT; ``refuses`` a status and a code for every request, ``hides_versioning``
    for that about versions; ``transition_minimum`` is what AWS keeps in a header.
    """

    document: bytes | None = None
    stale: list[bytes | None] = field(default_factory=list)
    keeps: Callable[[bytes], bytes] = bytes
    refuses: tuple[int, str] | None = None
    hides_versioning: tuple[int, str] | None = None
    transition_minimum: str | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def puts(self) -> int:
        return self.asked.count("PUT")

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


def minio(document: bytes) -> bytes:
    """Return what MinIO keeps of a document."""
    start, tag, rest = document.partition(b"<AbortIncompleteMultipartUpload>")
    return start + rest.partition(b"</AbortIncompleteMultipartUpload>")[2] if tag else document


def without_filters(document: bytes) -> bytes:
    """Return what a store keeps that forgets which objects a rule is for."""
    return re.sub(rb"<Filter>.*?</Filter>", b"", document)


def naming(document: bytes) -> bytes:
    """Return what a store keeps that names the rules which have no name."""

    def named(_: re.Match[bytes]) -> bytes:
        return f"<Rule><ID>{uuid4()}</ID>".encode()

    return re.sub(rb"<Rule>(?!<ID>)", named, document)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: LifecycleStore

    def do_GET(self) -> None:
        store = self.store
        if self.path.endswith("?versioning"):
            self._tell_versioning()
            return
        store.asked.append("GET")
        document = store.stale.pop(0) if store.stale else store.document
        if document is None:
            self._answer(404, _error("NoSuchLifecycleConfiguration"))
        else:
            self._answer(200, document)

    def _tell_versioning(self) -> None:
        if self.store.hides_versioning:
            status, code = self.store.hides_versioning
            self._answer(status, _error(code))
        else:
            self._answer(200, b"<VersioningConfiguration/>")

    def do_PUT(self) -> None:
        self.store.asked.append("PUT")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        if self.headers["Content-MD5"] != md5:
            self._answer(400, _error("MissingContentMD5"))
            return
        self.store.document = self.store.keeps(body)
        # Without the header AWS goes back to its default.
        self.store.transition_minimum = self.headers[_TRANSITION_MINIMUM]
        self._answer(200)

    def do_DELETE(self) -> None:
        self.store.asked.append("DELETE")
        self.store.document = None
        self._answer(204)

    def _answer(self, status: int, content: bytes = b"") -> None:
        if self.store.refuses:
            status, code = self.store.refuses
            content = _error(code)
        self.send_response_only(status)
        if self.store.transition_minimum is not None:
            self.send_header(_TRANSITION_MINIMUM, self.store.transition_minimum)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode() if code else b""
