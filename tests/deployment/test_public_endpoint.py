"""The public side of the store in docker-compose.yml, by a real nginx: signed URLs only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from dserver_signed_url_plugin.demo.store import free_port
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.front import Front

FILES = {"one.txt": b"eins"}
SIGNED = "X-Amz-Expires=60&X-Amz-Signature=abc"


class Listener(ThreadingHTTPServer):
    """A store that only notes what reaches it."""

    daemon_threads = True

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.heard.append((self.command, self.path, headers, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = _note

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def public(listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The public side of a store that notes."""
    with Front(tmp_path_factory.mktemp("front"), store=listener.address) as running:
        yield running


def ask(public: Front, method: str, target: str, **headers: str) -> int:
    """Ask for exactly this target, which no client tidies up; return the status."""
    connection = HTTPConnection(urlsplit(public.store_endpoint).netloc, timeout=30)
    body = b"bytes" if method == "PUT" else None
    connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
    status = connection.getresponse().status
    connection.close()
    return status


NAMED = {
    "Content_Type": "text/plain; charset=utf-8",
    "Content_MD5": "mD5==",
    "x_amz_meta_handle": "aGFuZGxl",
    "x_amz_meta_checksum": "0123",
    "If_None_Match": "*",
    "Range": "bytes=0-1",
    "Origin": "https://lookup.example.org",
}
UNNAMED = {
    "X_Minio_Source_Etag": "forged",
    "x_amz_acl": "public-read",
    "x_amz_tagging": "a=b",
    "x_amz_meta_other": "more",
    "x_amz_server_side_encryption": "AES256",
    "Authorization": "Bearer token-of-dserver",
    "Cookie": "a=b",
    "X_Forwarded_Host": "elsewhere.example.org",
}


def test_a_signed_request_reaches_the_store_as_it_was_signed(public, listener):
    target = f"/dtool/a%2Fb//c%20d+e%7E?partNumber=1&{SIGNED}"
    assert ask(public, "PUT", target, **NAMED) == 200
    method, path, headers, body = listener.heard[-1]
    assert (method, path, body) == ("PUT", target, b"bytes")
    assert headers["host"] == urlsplit(public.store_endpoint).netloc
    assert headers["content-length"] == "5"
    for name, value in NAMED.items():
        assert headers[name.replace("_", "-").lower()] == value


def test_a_header_that_nobody_named_does_not_reach_the_store(public, listener):
    assert ask(public, "PUT", f"/dtool/key?{SIGNED}", **UNNAMED) == 200
    headers = listener.heard[-1][2]
    assert not {name.replace("_", "-").lower() for name in UNNAMED} & headers.keys()


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/dtool?list-type=2"),
        ("GET", "/dtool/key?x=X-Amz-Signature=abc"),
        ("PUT", "/dtool/key"),
        ("POST", f"/?{SIGNED}"),
        ("DELETE", f"/dtool/key?{SIGNED}"),
    ],
)
def test_anything_else_is_refused_before_the_store_is_asked(public, listener, method, target):
    before = len(listener.heard)
    assert ask(public, method, target) == 403
    assert len(listener.heard) == before


def test_no_signature_is_logged_even_where_the_store_is_away(tmp_path):
    with Front(tmp_path, store=f"127.0.0.1:{free_port()}") as alone:
        assert ask(alone, "GET", f"/dtool/key%0Aforged?{SIGNED}") == 502
        alone.container.wait_until(lambda: alone.said.endswith(" s\n"))
        assert ask(alone, "GET", f"/dtool/pasted%3FX-Amz-Signature%3Dsecret?{SIGNED}") == 502
        alone.container.wait_until(lambda: "/dtool/pasted" in alone.said)
    assert "/dtool/key\\nforged" in alone.said
    assert "Signature" not in alone.said
    assert "secret" not in alone.said


@pytest.fixture
def in_public(make_dserver, bucket, tmp_path) -> Iterator[Any]:
    """A dserver whose store is reached through the public side by everybody else."""
    store = urlsplit(bucket.endpoint).netloc
    with Front(tmp_path, store=store) as running:
        name = f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name.upper()}"
        yield make_dserver(**{name: running.store_endpoint})


@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS()], ids=["pinned", "staged"])
def test_a_write_url_writes_but_copies_no_other_object(in_public, s3, bucket, client):
    s3.put_object(Bucket=bucket.name, Key="secret", Body=b"of somebody else")
    deposit = Deposit(FILES)
    grant = client.begin(in_public.alice, in_public.base_uri, deposit)
    [item] = grant["upload_urls"]["items"].values()
    smuggled = {**item["headers"], "x-amz-copy-source": f"/{bucket.name}/secret"}
    for source in (smuggled["x-amz-copy-source"], "0"):
        headers = {**smuggled, "x-amz-copy-source": source}
        requests.put(item["url"], data=b"eins", headers=headers, timeout=30)
        stored = s3.list_objects_v2(Bucket=bucket.name)["Contents"]
        bodies = [s3.get_object(Bucket=bucket.name, Key=one["Key"]) for one in stored]
        assert [one["Body"].read() for one in bodies].count(b"of somebody else") == 1
    assert requests.put(item["url"], data=b"eins", headers=smuggled, timeout=30).status_code == 403
    client.put(grant, deposit)
    assert in_public.alice.complete(grant["uri"]).status_code == 200


def test_a_browser_may_put(in_public, bucket):
    grant = DtoolDserver().begin(in_public.alice, in_public.base_uri, Deposit(FILES))
    [item] = grant["upload_urls"]["items"].values()
    asked = {
        "Origin": "https://lookup.example.org",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-md5,x-amz-meta-handle",
    }
    answer = requests.options(item["url"].partition("?")[0], headers=asked, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", asked["Origin"])
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
