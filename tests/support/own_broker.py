"""A small storage broker that signs by the methods of the spec, with a store behind it.

The store is a dict behind an HTTP server that checks HMAC, expiry and, for pinned items, the MD5.
Base URIs are own://127.0.0.1:<port>, the address of the server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from dtoolcore.filehasher import FileHasher, md5sum_hexdigest
from dtoolcore.storagebroker import BaseStorageBroker
from dtoolcore.utils import generate_identifier, generous_parse_uri

SECRET = secrets.token_bytes()
# Objects and their relpaths, by address of the server that gives them out.
STORES: dict[str, dict[str, tuple[bytes, str | None]]] = {}


def signature(*parts: str) -> str:
    return hmac.new(SECRET, "\n".join(parts).encode(), "sha256").hexdigest()


class OwnBroker(BaseStorageBroker):
    """dtool's interface, and the signing methods of the spec."""

    key = "own"
    hasher = FileHasher(md5sum_hexdigest)
    _dtool_readme_txt = "own"
    _structure_parameters: ClassVar[dict[str, str]] = {}

    def __init__(self, uri: str, config_path: str | None = None) -> None:
        parts = generous_parse_uri(uri)
        self._address = parts.netloc
        self._root = parts.path.strip("/") + "/"
        self.data_key_prefix = f"{self._root}data/"

    def supports_signing(self) -> bool:
        return True

    def _sign(self, method: str, key: str, seconds: int, md5: str = "") -> str:
        ends = str(int(time.time()) + seconds)
        query = f"ends={ends}&md5={md5}&signature={signature(method, key, ends, md5)}"
        return f"http://{self._address}/{quote(key)}?{query}"

    def generate_signed_read_url(self, key: str, expiry_seconds: int = 3600) -> str:
        return self._sign("GET", key, expiry_seconds)

    def generate_signed_write_url(self, key: str, expiry_seconds: int = 3600) -> str:
        return self._sign("PUT", key, expiry_seconds)

    def generate_signed_item_write_url(
        self, relpath: str, md5: str, expiry_seconds: int = 3600
    ) -> tuple[str, dict[str, str]]:
        key = self.data_key_prefix + generate_identifier(relpath)
        relpath_header = base64.b64encode(relpath.encode()).decode()
        return self._sign("PUT", key, expiry_seconds, md5), {"X-Relpath": relpath_header}

    def generate_dataset_signed_urls(self, expiry_seconds: int = 3600) -> dict[str, Any]:
        def sign(key: str) -> str:
            return self.generate_signed_read_url(key, expiry_seconds)

        items = self.get_manifest()["items"]
        return {
            "admin_metadata_url": sign(self.get_admin_metadata_key()),
            "manifest_url": sign(self.get_manifest_key()),
            "readme_url": sign(self.get_readme_key()),
            "item_urls": {name: sign(self.data_key_prefix + name) for name in items},
            "overlay_urls": {n: sign(self.get_overlay_key(n)) for n in self.list_overlay_names()},
            "annotation_urls": {
                n: sign(self.get_annotation_key(n)) for n in self.list_annotation_names()
            },
            "tags": self.list_tags(),
        }

    # What dtool asks of any broker ----------------------------------------------------------

    def get_text(self, key: str) -> str:
        return STORES[self._address][key][0].decode()

    def put_text(self, key: str, text: str) -> None:
        STORES[self._address][key] = text.encode(), None

    def delete_key(self, key: str) -> None:
        del STORES[self._address][key]

    def get_admin_metadata_key(self) -> str:
        return f"{self._root}dtool"

    def get_readme_key(self) -> str:
        return f"{self._root}README.yml"

    def get_manifest_key(self) -> str:
        return f"{self._root}manifest.json"

    def get_structure_key(self) -> str:
        return f"{self._root}structure.json"

    def get_dtool_readme_key(self) -> str:
        return f"{self._root}README.txt"

    def get_overlay_key(self, overlay_name: str) -> str:
        return f"{self._root}overlays/{overlay_name}"

    def get_annotation_key(self, annotation_name: str) -> str:
        return f"{self._root}annotations/{annotation_name}"

    def get_tag_key(self, tag: str) -> str:
        return f"{self._root}tags/{tag}"

    def _names(self, kind: str) -> list[str]:
        prefix = f"{self._root}{kind}/"
        return [k.removeprefix(prefix) for k in STORES[self._address] if k.startswith(prefix)]

    def list_overlay_names(self) -> list[str]:
        return self._names("overlays")

    def list_annotation_names(self) -> list[str]:
        return self._names("annotations")

    def list_tags(self) -> list[str]:
        return self._names("tags")

    def has_admin_metadata(self) -> bool:
        return self.get_admin_metadata_key() in STORES[self._address]

    def _create_structure(self) -> None:
        """Nothing to create in a dict."""

    def post_freeze_hook(self) -> None:
        """Nothing to clean up."""

    def put_item(self, fpath: str, relpath: str) -> str:
        key = self.data_key_prefix + generate_identifier(relpath)
        STORES[self._address][key] = Path(fpath).read_bytes(), relpath
        return relpath

    def iter_item_handles(self) -> Iterator[str]:
        for identifier in self._names("data"):
            relpath = STORES[self._address][self.data_key_prefix + identifier][1]
            assert relpath is not None
            yield relpath

    def item_properties(self, handle: str) -> dict[str, Any]:
        content, _ = STORES[self._address][self.data_key_prefix + generate_identifier(handle)]
        return {
            "relpath": handle,
            "size_in_bytes": len(content),
            "hash": hashlib.md5(content).hexdigest(),
            "utc_timestamp": 1_700_000_000.0,
        }


class SilentBroker(OwnBroker):
    """A broker that could sign, but says that it does not."""

    key = "silent"

    def supports_signing(self) -> bool:
        return False


class HangingBroker(OwnBroker):
    """A broker whose store does not answer, until it is let go."""

    key = "hanging"
    let_go: ClassVar[threading.Event] = threading.Event()

    def has_admin_metadata(self) -> bool:
        self.let_go.wait(60)
        return False


class _Handler(BaseHTTPRequestHandler):
    def _key(self) -> str | None:
        """The key that the request may touch, or None."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        key, ends, md5 = unquote(parts.path[1:]), query["ends"], query.get("md5", "")
        expected = signature(self.command, key, ends, md5)
        alive = int(ends) > time.time()
        return key if alive and hmac.compare_digest(expected, query["signature"]) else None

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _store(self) -> dict[str, tuple[bytes, str | None]]:
        return STORES[f"127.0.0.1:{self.server.server_port}"]  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        key = self._key()
        if key is None:
            return self._answer(403)
        return (
            self._answer(200, self._store()[key][0]) if key in self._store() else self._answer(404)
        )

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self._key()
        md5 = parse_qs(urlsplit(self.path).query).get("md5", [""])[0]
        if key is None or md5 not in ("", hashlib.md5(content).hexdigest()):
            return self._answer(403)
        relpath = self.headers.get("X-Relpath")
        self._store()[key] = content, relpath and base64.b64decode(relpath).decode()
        return self._answer(200)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def install(monkeypatch: pytest.MonkeyPatch, site: Path, *brokers: str) -> None:
    """Install brokers, each named as module:class, as a package would, for as long as a test."""
    metadata = site / "own_broker-1.dist-info"
    metadata.mkdir(parents=True)
    lines = [f"broker{number} = {broker}" for number, broker in enumerate(brokers)]
    (metadata / "entry_points.txt").write_text("\n".join(["[dtool.storage_brokers]", *lines, ""]))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-broker\nVersion: 1\n")
    monkeypatch.syspath_prepend(site)


@contextmanager
def own_store() -> Iterator[str]:
    """Run a store; yields its base URI."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    address = f"127.0.0.1:{server.server_port}"
    STORES[address] = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"own://{address}"
    server.shutdown()
    server.server_close()
    thread.join()
    del STORES[address]
