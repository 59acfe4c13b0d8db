"""A worker is killed, or loses the database, between two steps: the same call again finishes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import update
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.demo.app import create_app
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DserverClientJS
from tests.support.databases import Lock
from tests.support.dserver import Dserver, Person, in_capitals, without_openapi
from tests.support.every_step import EVERY_STEP
from tests.support.forked_python import forking
from tests.support.proxy import Fault, Request, StoreProxy
from tests.support.s3_holdings import check_dataset, verifies

pytestmark = pytest.mark.database("postgresql", reason="several workers share a server, not a file")

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
SECONDS = 60
READS = ("GET", "HEAD")


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


def complete_in_this_process(config: Mapping[str, Any], token: str, uri: str) -> None:
    """Be a worker: the same dserver, from the same database, with one call to answer."""
    with without_openapi():
        app = create_app(config)
    Person(app, token).complete(uri)


class Worker:
    """A process that completes an upload, and stops at its k-th request to the store."""

    def __init__(self, dserver: Dserver, proxy: StoreProxy, uri: str) -> None:
        names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
        config = {
            **{name: dserver.app.config[name] for name in names},
            **in_capitals(dserver.bucket.settings()),
            **proxy.settings(),
            "TESTING": True,
        }
        arguments = (config, dserver.tokens["alice"], uri)
        self._process = forking().Process(
            target=complete_in_this_process, args=arguments, daemon=True
        )
        self._proxy = proxy

    def run_and_kill(self, moment: str, at: int) -> bool:
        """Kill it before request k, or after the store has done what write k asks.

        Return whether there were so many.
        """
        reached, killed = threading.Event(), threading.Event()

        def number(request: Request) -> int:
            made = self._proxy.requests[: request.number]
            if moment == "after":
                # After a read, the store holds what it held before.
                return sum(each.method not in READS for each in made)
            return len(made)

        def stop(request: Request) -> Fault | None:
            if number(request) < at:
                return None
            reached.set()
            killed.wait(SECONDS)
            return Fault.DROPPED

        self._proxy.forget()
        setattr(self._proxy, moment, stop)
        self._process.start()
        try:
            while not reached.wait(0.01) and self._process.is_alive():
                pass
        finally:
            # SIGKILL, to this process alone: nothing is tidied up.
            self._process.kill()
            self._process.join(SECONDS)
            self._proxy.heal()
            killed.set()
        return reached.is_set()


def end_leases(dserver: Dserver) -> None:
    """Let the dead worker's lease be over now; otherwise this test would wait ten seconds."""
    with dserver.app.app_context():
        sql_db.session.execute(update(PendingUpload).values(lease_ends=0.0))
        sql_db.session.commit()


def prepared(dserver: Dserver) -> tuple[Deposit, str]:
    """Announce and PUT a deposit; return it and its URI."""
    client, deposit = DserverClientJS(), Deposit(FILES, more={"tags": ["tag"]})
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    return deposit, grant["uri"]


def check_busy(answer: TestResponse) -> None:
    assert answer.status_code == 409, answer.text
    assert int(answer.headers["Retry-After"]) >= 1


# What is stored when a worker is killed after a write is stored before the next request, too.
@pytest.mark.parametrize(("moment", "step", "least"), [("before", 4, 10), ("after", 1, 5)])
def test_what_a_killed_worker_left_is_completed_by_another(
    dserver, proxy, s3, moment, step, least, dtool_reads
):
    for at in count(1, step):
        deposit, uri = prepared(dserver)
        if not Worker(dserver, proxy, uri).run_and_kill(moment, at):
            break
        check_busy(dserver.alice.complete(uri))
        end_leases(dserver)
        answer = dserver.alice.complete(uri)
        assert answer.status_code == 200, answer.json
        check_dataset(dserver, s3, deposit)
    # The writes are two copies, README, manifest, admin metadata, and a deletion.
    assert at > least
    check_dataset(dserver, s3, deposit)
    assert verifies(dserver, deposit)


@pytest.mark.parametrize(("moment", "numbers"), [("before", (1, 8)), ("after", (2, 5))])
def test_what_a_killed_worker_left_can_be_announced_again(dserver, proxy, s3, moment, numbers):
    for at in numbers:
        deposit, uri = prepared(dserver)
        assert Worker(dserver, proxy, uri).run_and_kill(moment, at)
        end_leases(dserver)
        again = dserver.alice.begin(dserver.base_uri, DserverClientJS().plan(deposit))
        assert again.status_code in (200, 409), again.json
        assert dserver.alice.complete(uri).status_code == 200
        check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize("step", ["begin", "complete"])
def test_while_one_works_on_an_upload_another_is_told_to_come_back(dserver, proxy, s3, step):
    client, deposit = DserverClientJS(), Deposit(FILES)
    plan, uri = client.plan(deposit), f"{dserver.base_uri}/{deposit.uuid}"
    if step == "complete":
        client.put(client.begin(dserver.alice, dserver.base_uri, deposit), deposit)

    def act() -> TestResponse:
        alice = Person(dserver.app, dserver.tokens["alice"])
        return alice.begin(dserver.base_uri, plan) if step == "begin" else alice.complete(uri)

    told: list[TestResponse] = []
    mine = threading.Lock()

    def interrupt(_: Request) -> None:
        # What the other asks of the store in its turn would only show that it was not held off.
        if mine.acquire(blocking=False):
            try:
                told.append(act())
            finally:
                mine.release()

    proxy.before = interrupt
    first = act()
    proxy.heal()
    assert first.status_code == 200
    assert len(told) > 3
    for answer in told:
        check_busy(answer)
    if step == "begin":
        client.put(first.json, deposit)
        assert dserver.alice.complete(uri).status_code == 200
    check_dataset(dserver, s3, deposit)


@pytest.fixture
def impatient(make_dserver, proxy, database) -> Dserver:
    """A dserver that does not wait long for its database."""
    return make_dserver(**proxy.settings(), SQLALCHEMY_ENGINE_OPTIONS=database.impatient)


@pytest.fixture
def new_lock(impatient, database) -> Callable[[], Lock]:
    """Make somebody who can hold the database."""
    return lambda: database.lock(impatient.app.config["SQLALCHEMY_DATABASE_URI"])


def check_database_busy(answer: TestResponse) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert "it is busy: wait a moment" in answer.json["message"]


def test_a_call_that_meets_a_locked_database_can_be_repeated(impatient, new_lock, s3):
    client, deposit = DserverClientJS(), Deposit(FILES)
    uri = f"{impatient.base_uri}/{deposit.uuid}"

    def refused_then_done(call: Callable[[], TestResponse]) -> Any:
        with closing(new_lock()) as lock:
            lock.hold()
            check_database_busy(call())
        answer = call()
        assert answer.status_code == 200
        return answer.json

    plan = client.plan(deposit)
    client.put(refused_then_done(lambda: impatient.alice.begin(impatient.base_uri, plan)), deposit)
    refused_then_done(lambda: impatient.alice.complete(uri))
    check_dataset(impatient, s3, deposit)


def test_a_completion_that_loses_the_database_at_any_request_can_be_repeated(
    impatient, new_lock, proxy, s3
):
    for at in count(1, 1 if EVERY_STEP else 2):
        deposit, uri = prepared(impatient)
        with closing(new_lock()) as lock:
            proxy.forget()
            proxy.before = lambda request, lock=lock, at=at: (
                lock.hold() if request.number == at else None
            )
            answer = impatient.alice.complete(uri)
            lost = len(proxy.requests) >= at
            proxy.heal()
        if not lost:
            break
        assert answer.status_code in (502, 503), answer.text
        end_leases(impatient)
        assert impatient.alice.complete(uri).status_code == 200
        check_dataset(impatient, s3, deposit)
    assert answer.status_code == 200
    assert at > 10
