"""What a call costs: the storage requests and the database queries that it makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import event
from werkzeug.test import TestResponse

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.proxy import StoreProxy

# Statements of one call, dservercore's own for person and permission included.
# Two of them are the decision's, one on SQLite; seven of a completion are the index's.
QUERIES = {"begin": 25, "complete": 42, "dataset": 7, "items": 7, "list": 7, "item": 7}


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
        if "_heartbeat" not in threading.current_thread().name:
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
        assert answer.status_code == 200, answer.text
        return answer.json if answer.is_json else answer.text

    plan = client.plan(deposit)
    grant = call("begin", lambda: dserver.alice.begin(dserver.base_uri, plan))
    put_all(grant, deposit)
    call("complete", lambda: dserver.alice.complete(uri))
    assert len(call("dataset", lambda: dserver.bob.read(uri))["item_urls"]) == number
    call("items", lambda: dserver.bob.read_items(uri, match="*"))
    call("list", lambda: dserver.bob.read(uri, format="curl"))
    identifier = next(iter(grant["upload_urls"]["items"]))
    call("item", lambda: dserver.bob.read_item(uri, identifier))
    return cost
