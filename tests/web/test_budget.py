"""What a call costs: storage requests and database queries, for few items and for many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest
import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import event
from werkzeug.test import TestResponse

from tests.clients import CLIENTS, Deposit, DtoolDserver, each_client
from tests.dserver import Dserver
from tests.proxy import StoreProxy

# More than the 1,000 keys that one listing or deletion takes.
FEW, MANY = 10, 1200
# Statements of one call, dservercore's own for person and permission included.
# Two of them are the decision's, one on SQLite.
QUERIES = {"begin": 24, "complete": 40, "dataset": 7, "item": 7}

DESCRIPTIONS = {
    "tags": ["one", "two"],
    "annotations": {"solvent": "water", "mass": 3, "mixed": [1, {"two": None}]},
}


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


@dataclass
class Cost:
    """What one call asked of the store and of the database."""

    requests: list[Any] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    @property
    def copies(self) -> int:
        return sum(request.is_copy for request in self.requests)


@contextmanager
def counted(dserver: Dserver, proxy: StoreProxy) -> Iterator[Cost]:
    """Count what every thread asks, but for the sign of life that a lease gives by the clock."""
    cost = Cost()

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "_beat" not in threading.current_thread().name:
            cost.queries.append(statement)

    with dserver.app.app_context():
        engine = sql_db.engine
    event.listen(engine, "before_cursor_execute", count)
    proxy.forget()
    try:
        yield cost
    finally:
        event.remove(engine, "before_cursor_execute", count)
        cost.requests = list(proxy.requests)


def deposit_of(number: int, **more: Any) -> Deposit:
    return Deposit({f"{index}.txt": b"%d" % index for index in range(number)}, more=more)


def put_all(grant: dict[str, Any], deposit: Deposit) -> None:
    """PUT every item over kept connections, as 1,200 would otherwise take long."""
    sessions = threading.local()

    def put(entry: tuple[str, Any]) -> None:
        identifier, item = entry
        if not hasattr(sessions, "session"):
            sessions.session = requests.Session()
        content = contents[identifier]
        assert sessions.session.put(item["url"], content, headers=item["headers"]).ok

    contents = {generate_identifier(path): content for path, content in deposit.files.items()}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, grant["upload_urls"]["items"].items()))


def costs(
    dserver: Dserver, proxy: StoreProxy, client: DtoolDserver, number: int
) -> dict[str, Cost]:
    """Deposit a dataset and read it; return the cost of each call."""
    deposit = deposit_of(number)
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    cost: dict[str, Cost] = {}

    def call(name: str, act: Callable[[], TestResponse]) -> Any:
        with counted(dserver, proxy) as cost[name]:
            answer = act()
        assert answer.status_code == 200, answer.json
        return answer.json

    plan = client.plan(deposit)
    grant = call("begin", lambda: dserver.alice.begin(dserver.base_uri, plan))
    put_all(grant, deposit)
    call("complete", lambda: dserver.alice.complete(uri))
    assert len(call("dataset", lambda: dserver.bob.read(uri))["item_urls"]) == number
    identifier = next(iter(grant["upload_urls"]["items"]))
    call("item", lambda: dserver.bob.read_item(uri, identifier))
    return cost


@each_client
def test_costs_do_not_grow_with_the_dataset_where_they_need_not(dserver, proxy, client):
    cost = {number: costs(dserver, proxy, client, number) for number in (FEW, MANY)}

    for number, calls in cost.items():
        pages = ceil(number / 1000)
        copies = 0 if type(client) is DtoolDserver else number
        # Copies, deletions, and the listings that verify what was copied; and what is fixed.
        budget = 10 + pages + (copies and copies + 2 * pages)
        assert calls["complete"].copies == copies
        assert len(calls["complete"].requests) <= budget
        assert len(calls["begin"].requests) <= 8
        assert len(calls["dataset"].requests) <= 5
        assert len(calls["item"].requests) <= 1
    for call, most in QUERIES.items():
        few, many = (cost[number][call].queries for number in (FEW, MANY))
        assert few == many
        assert len(few) <= most


def test_a_read_that_remembers_nothing_keeps_to_the_budget(make_dserver, proxy):
    cost: dict[str, Cost] = {}
    deposit = deposit_of(FEW, **DESCRIPTIONS)
    first = make_dserver(**proxy.settings())
    assert DtoolDserver().upload(first.alice, first.base_uri, deposit).status_code == 200
    # The same dserver in another process: what is registered is in the database.
    database = first.app.config["SQLALCHEMY_DATABASE_URI"]
    fresh = make_dserver(**proxy.settings(), SQLALCHEMY_DATABASE_URI=database)
    with counted(fresh, proxy) as cost["dataset"]:
        answer = fresh.bob.read(f"{fresh.base_uri}/{deposit.uuid}")
    assert (answer.status_code, len(answer.json["tags"])) == (200, len(DESCRIPTIONS["tags"]))
    assert 1 <= len(cost["dataset"].requests) <= 5


def test_a_description_costs_one_request_at_initiation(dserver, proxy):
    plain = deposit_of(FEW)
    described = deposit_of(FEW, **DESCRIPTIONS)
    described.more["overlays"] = {
        "kind": {generate_identifier(path): "txt" for path in described.files}
    }
    spent = []
    for deposit in (plain, described):
        with counted(dserver, proxy) as cost:
            DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
        spent.append(len(cost.requests))
    assert spent[0] <= 8
    assert spent[1] - spent[0] == 2 + 3 + 1


def test_an_initiation_that_resumes_keeps_to_the_budget(dserver, proxy):
    deposit = deposit_of(FEW)
    DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    with counted(dserver, proxy) as cost:
        DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    assert len(cost.requests) <= 8


@pytest.mark.parametrize("client", CLIENTS[:2], ids=lambda client: type(client).__name__)
def test_a_completion_by_another_worker_keeps_to_the_budget(make_dserver, proxy, client):
    first = make_dserver(**proxy.settings())
    deposit = deposit_of(FEW)
    client.put(client.begin(first.alice, first.base_uri, deposit), deposit)
    database = first.app.config["SQLALCHEMY_DATABASE_URI"]
    fresh = make_dserver(**proxy.settings(), SQLALCHEMY_DATABASE_URI=database)
    with counted(fresh, proxy) as cost:
        assert fresh.alice.complete(f"{fresh.base_uri}/{deposit.uuid}").status_code == 200
    staged = 0 if type(client) is DtoolDserver else FEW + 1 + 1
    assert len(cost.requests) <= 10 + 1 + staged
