"""Measure four routes with different numbers of items, against a local store."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from benchmarks.counting import Cost, counted
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import Dserver

CLIENTS = {"pinned": DtoolDserver(), "staged": DserverClientJS()}


def measure(dserver: Dserver, sizes: list[int]) -> Iterator[tuple[str, int, Cost]]:
    """Yield (route, number of items, cost)."""
    # The first calls create the clients of the bucket, which a worker does once.
    first = CLIENTS["pinned"].upload(dserver.alice, dserver.base_uri, Deposit())
    _checked(dserver.bob.read(_checked(first)["uri"]))
    for size in sizes:
        for mode, client in CLIENTS.items():
            files = {f"data/{number:06}.raw": f"{number}".encode() for number in range(size)}
            yield from _life(dserver, mode, client, Deposit(files))


def _life(
    dserver: Dserver, mode: str, client: DtoolDserver, deposit: Deposit
) -> Iterator[tuple[str, int, Cost]]:
    size, plan = len(deposit.files), client.plan(deposit)
    with counted(dserver) as cost:
        grant = _checked(dserver.alice.begin(dserver.base_uri, plan))
    yield f"POST upload, {mode}", size, cost
    _put_all(grant["upload_urls"]["items"], deposit, with_headers=mode == "pinned")
    with counted(dserver) as cost:
        uri = _checked(dserver.alice.complete(grant["uri"]))["uri"]
    yield f"POST upload-complete, {mode}", size, cost
    if mode == "pinned":
        with counted(dserver) as cost:
            urls = _checked(dserver.bob.read(uri))["item_urls"]
        yield "GET dataset", size, cost
        with counted(dserver) as cost:
            _checked(dserver.bob.read_item(uri, next(iter(urls))))
        yield "GET item", size, cost


def _put_all(items: Mapping[str, Any], deposit: Deposit, with_headers: bool) -> None:
    """PUT every item; not measured, because the bytes do not pass through dserver."""
    local = threading.local()
    contents = {generate_identifier(path): content for path, content in deposit.files.items()}

    def put(entry: tuple[str, Any]) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        identifier, item = entry
        headers = item["headers"] if with_headers else {}
        content = contents[identifier]
        local.session.put(item["url"], data=content, headers=headers).raise_for_status()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, items.items()))


def _checked(answer: TestResponse) -> Any:
    if answer.status_code != 200:
        raise SystemExit(f"{answer.request.path}: {answer.text}")
    return answer.json
