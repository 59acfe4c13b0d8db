from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from dserver_client.documents import read_manifest
from dserver_client.transfers.fetching import Fetching
from dserver_client.transfers.item_urls import ItemURLs

from client.tests.support.proxied_lab import ProxiedLab, etag, some_bytes
from tests.support.proxy import Instead, Request

CONTENT = some_bytes(700_000)
FETCH = """
import sys
from dserver_client.client import Client
url, token, uri, directory = sys.argv[1:]
Client(url, token).fetch(uri, directory)
"""


def fetching(proxied: ProxiedLab, uri: str, state: Path) -> Fetching:
    items = [item.identifier for item in read_manifest(proxied.client.server, uri)]
    urls = ItemURLs(proxied.client.server, uri, items)
    return Fetching(proxied.client.http, urls, state, part_size=200_000)


def test_a_large_item_is_fetched_in_ranges_of_one_object(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"large": CONTENT})
    [item] = read_manifest(proxied.client.server, uri)
    fetching(proxied, uri, tmp_path).fetch([(item, str(tmp_path / "large"))])
    assert (tmp_path / "large").read_bytes() == CONTENT
    assert sorted(request.headers["range"] for request in proxied.item_requests()) == [
        "bytes=0-199999",
        "bytes=200000-399999",
        "bytes=400000-599999",
        "bytes=600000-699999",
    ]


def test_a_store_without_ranges_is_read_from_the_beginning(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"large": CONTENT})
    [item] = read_manifest(proxied.client.server, uri)
    whole = Instead(200, CONTENT, {"ETag": etag(CONTENT)})
    proxied.proxy.before = lambda request: whole if "/data/" in request.target else None
    fetching(proxied, uri, tmp_path).fetch([(item, str(tmp_path / "large"))])
    assert (tmp_path / "large").read_bytes() == CONTENT


def test_what_arrived_before_a_kill_is_not_fetched_again(
    proxied: ProxiedLab, tmp_path: Path
) -> None:
    uri = proxied.deposit({"large": CONTENT})
    asked_again, end = threading.Event(), threading.Event()

    def before(request: Request) -> Instead | None:
        if "/data/" not in request.target:
            return None
        if "range" not in request.headers:
            return Instead(200, CONTENT[:300_000], {"ETag": etag(CONTENT)}, length=len(CONTENT))
        asked_again.set()
        end.wait(30)
        return Instead(503)

    proxied.proxy.before = before
    arguments = [proxied.client.server.url, proxied.token, uri, str(tmp_path / "dest")]
    with subprocess.Popen([sys.executable, "-c", FETCH, *arguments]) as process:
        assert asked_again.wait(30)
        process.kill()
        end.set()
    proxied.proxy.heal()
    proxied.proxy.forget()
    fetched = proxied.client.fetch(uri, tmp_path / "dest")
    [request] = proxied.item_requests()
    assert request.headers["range"] == f"bytes=300000-{len(CONTENT) - 1}"
    assert fetched.fetched_in_bytes == len(CONTENT) - 300_000
    assert (tmp_path / "dest" / "large").read_bytes() == CONTENT
