"""A proxy in front of the store, for dserver alone, and a look at what the store then holds.

People follow their signed URLs straight to the store; what passes here is what dserver asks of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import dtoolcore
import requests

from tests.clients import README, Deposit
from tests.dserver import Bucket, Dserver


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

    @property
    def is_copy(self) -> bool:
        return "x-amz-copy-source" in self.headers

    def writes(self, ending: str) -> bool:
        """Tell whether an object is put whose key ends so."""
        return self.method == "PUT" and urlsplit(self.target).path.endswith(ending)


def _let_pass(_: Request) -> Fault | None:
    return None


class StoreProxy:
    """Counts from ``with`` to the end of the block; ``before`` and ``after`` may interfere.

    Both are called in the proxy's threads: ``before`` the store is asked, with a fault to return if
    it shall not be, and ``after`` it has answered but dserver does not know yet.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._upstream = urlsplit(bucket.endpoint).netloc
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.heal()

    def __enter__(self) -> StoreProxy:
        class Handler(_Handler):
            proxy = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def settings(self) -> dict[str, str]:
        """Return what lets dserver ask here, and sign for the store itself."""
        name = self._bucket.name.upper()
        return {
            f"DTOOL_S3_ENDPOINT_{name}": self.endpoint,
            f"DTOOL_S3_PUBLIC_ENDPOINT_{name}": self._bucket.endpoint,
        }

    def forget(self) -> None:
        """Count from one again."""
        with self._lock:
            self.requests.clear()

    def heal(self) -> None:
        """Forward everything from now on."""
        self.before: Callable[[Request], Fault | None] = _let_pass
        self.after: Callable[[Request], Fault | None] = _let_pass

    def fail(self, fault: Fault, at: int, until: int | None = None) -> None:
        """Count from one again, and answer requests number ``at`` to ``until`` with the fault."""
        self.forget()
        last = at if until is None else until
        self.before = lambda request: fault if at <= request.number <= last else None

    def note(self, method: str, target: str, headers: dict[str, str]) -> Request:
        with self._lock:
            request = Request(len(self.requests) + 1, method, target, headers)
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

    def finish(self) -> None:
        self._store.close()
        with suppress(OSError):
            super().finish()

    def _forward(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        # Answered by http.server already.
        headers.pop("expect", None)
        body = self._body(headers)
        request = self.proxy.note(self.command, self.path, headers)
        fault = self.proxy.before(request)
        if fault is None:
            status, answered, content = self._ask(request, body)
            fault = self.proxy.after(request)
        if fault is Fault.DROPPED:
            self._drop()
        elif fault is not None:
            self._answer(fault.value, {}, b"")
        else:
            self._answer(status, answered, content)

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
        self._store.request(request.method, request.target, body, request.headers)
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

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Say nothing: URLs hold signatures."""


@dataclass(frozen=True)
class Stored:
    """One object as the store has it."""

    content: bytes
    metadata: tuple[tuple[str, str], ...]


def holdings(s3: Any, bucket: Bucket, uuid: str) -> dict[str, Stored]:
    """Return the objects of a dataset, by key; ``<uuid>/upload/`` is no part of it."""
    found = [
        entry["Key"]
        for prefix in (f"dtool-{uuid}", f"{uuid}/")
        for entry in s3.list_objects_v2(Bucket=bucket.name, Prefix=prefix).get("Contents", [])
    ]

    def read(key: str) -> Stored:
        answer = s3.get_object(Bucket=bucket.name, Key=key)
        return Stored(answer["Body"].read(), tuple(sorted(answer["Metadata"].items())))

    return {key: read(key) for key in found if not key.startswith(f"{uuid}/upload/")}


def check_dataset(dserver: Dserver, s3: Any, deposit: Deposit, readme: str | None = README) -> None:
    """Fail unless the dataset is registered, readable, and all that dtool needs is there."""
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    answer = dserver.bob.read(uri)
    assert answer.status_code == 200, answer.json
    urls = answer.json["item_urls"]
    with ThreadPoolExecutor(4) as pool:
        read = dict(zip(urls, pool.map(_get, urls.values()), strict=True))
    items = {_identifier(path): content for path, content in deposit.files.items()}
    assert read == items

    stored = holdings(s3, dserver.bucket, deposit.uuid)
    for path, content in deposit.files.items():
        metadata = dict(stored[f"{deposit.uuid}/data/{_identifier(path)}"].metadata)
        assert base64.b64decode(metadata["handle"]).decode() == path
        assert metadata["checksum"] == _md5(content)
    admin_metadata = dict(stored[f"{deposit.uuid}/dtool"].metadata)
    assert (admin_metadata["type"], admin_metadata["uuid"]) == ("dataset", deposit.uuid)
    manifest = json.loads(stored[f"{deposit.uuid}/manifest.json"].content)
    assert {name: entry["hash"] for name, entry in manifest["items"].items()} == {
        name: _md5(content) for name, content in items.items()
    }
    structure = json.loads(stored[f"{deposit.uuid}/structure.json"].content)
    assert structure["dataset_registration_key"] == f"dtool-{deposit.uuid}"
    check_readme(dserver, stored, deposit, readme)


def check_readme(
    dserver: Dserver, stored: dict[str, Stored], deposit: Deposit, readme: str | None
) -> None:
    """Fail unless registered and stored README are the same, and this one if one is given."""
    with dserver.app.app_context():
        registered = dserver.app.retrieve.get_readme(f"{dserver.base_uri}/{deposit.uuid}")
    assert stored[f"{deposit.uuid}/README.yml"].content.decode() == registered
    assert readme in (None, registered)


def verifies(dserver: Dserver, deposit: Deposit) -> bool:
    """Tell whether dtool itself finds in the bucket what the manifest says, hashes included."""
    dataset = dtoolcore.DataSet.from_uri(f"{dserver.base_uri}/{deposit.uuid}")
    found = dataset.generate_manifest()["items"]
    said = {identifier: dataset.item_properties(identifier) for identifier in dataset.identifiers}
    assert found.keys() == said.keys() == {_identifier(path) for path in deposit.files}
    parts = ("relpath", "size_in_bytes", "hash")
    return all(found[name][part] == said[name][part] for name in said for part in parts)


def _get(url: str) -> bytes:
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.content


def _identifier(relpath: str) -> str:
    return dtoolcore.utils.generate_identifier(relpath)


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
