"""What the benchmarks count, and the ratios of signing: wide margins, and no seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import routes, signing
from benchmarks.client import contents
from benchmarks.client.programs import DserverClient, Machine
from benchmarks.server import site

FEW, MORE = 10, 210
# Storage requests and database statements of one call, and bytes of the answer per item, at most.
LIMITS = {
    "POST upload": (12, 26, 800),
    "POST upload-complete, pinned": (12, 40, 0),
    "GET item, warm": (0, 3, 0),
    "GET dataset": (4, 3, 700),
}
# Twice the goals of docs/performance.rst, in multiples of the hashes alone.
RATIOS = {signing.GET: 3.6, signing.NAMED: 6, signing.PINNED: 4.4, signing.AZURE_NAMED: 6}


def deposited_and_read(server, items):
    rows, uris = routes.uploads(server, items, 2)
    return [*rows, *routes.reads(server, uris, items, 2)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The dserver of the benchmark, and its store."""
    directory: Path = tmp_path_factory.mktemp("benchmark")
    with site(directory) as place, place.serving() as server:
        routes.warm_up(server)
        yield server


@pytest.fixture(scope="module")
def rows(server):
    """The plugin's rows, by route, with few and with more items."""
    measured = [row for items in (FEW, MORE) for row in deposited_and_read(server, items)]
    return {
        route: [row for row in measured if row.route == route]
        for route in dict.fromkeys(row.route for row in measured)
    }


@pytest.mark.parametrize("route", LIMITS)
def test_a_call_costs_no_more_requests_and_statements_with_more_items(rows, route):
    requests, statements, _ = LIMITS[route]
    few, more = rows[route]
    assert (few.requests, few.statements) == (more.requests, more.statements)
    assert few.requests <= requests
    assert few.statements <= statements


@pytest.mark.parametrize("route", ["POST upload", "GET dataset"])
def test_an_item_adds_few_bytes_to_an_answer_and_compressed_a_third_of_them(rows, route):
    few, more = rows[route]
    assert more.bytes - few.bytes <= LIMITS[route][2] * (MORE - FEW)
    assert more.compressed_bytes - few.compressed_bytes <= (more.bytes - few.bytes) / 3


def test_the_client_asks_the_store_once_for_each_file(server, tmp_path):
    machine, client, asked = Machine(server, tmp_path), DserverClient(), []
    for files in (5, 105):
        what = contents.small_files(tmp_path / str(files), files)
        before = server.store.requests()
        _, uri = client.deposit(machine, what.directory)
        deposited = server.store.requests()
        client.fetch(machine, uri, tmp_path / f"fetched-{files}")
        asked.append((deposited - before, server.store.requests() - deposited))
    few, more = asked
    assert [later - sooner for sooner, later in zip(few, more, strict=True)] == [100, 100]


def test_signing_takes_few_times_as_long_as_its_hashes():
    ratios = {speed.kind: speed.ratio for speed in signing.measure(300, 15, alone=True)}
    assert [kind for kind, most in RATIOS.items() if ratios[kind] > most] == []
