"""dserver's database does not answer: whatever hangs, the answer is 503, and soon."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import quote

import pytest
from dservercore import sql_db
from sqlalchemy import make_url, text
from sqlalchemy.exc import InterfaceError, OperationalError

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.proxy import Request
from tests.support.refusals import assert_refused
from tests.support.s3_holdings import check_dataset
from tests.support.search_plugins import Refuses

# What is promised, in seconds.
SOON = 10
FILES = {"one.txt": b"eins"}
CLIENT = DtoolDserver()

postgresql_only = pytest.mark.database("postgresql", reason="SQLite has no server to freeze")


def url_of(dserver: Dserver) -> str:
    return dserver.app.config["SQLALCHEMY_DATABASE_URI"]


def check_soon(act: Callable[[], Any]) -> None:
    began = monotonic()
    answer = act()
    seconds = monotonic() - began
    assert_refused(answer, 503, "database")
    assert int(answer.headers["Retry-After"]) >= 1
    assert seconds < SOON


def forget_connections(dserver: Dserver) -> None:
    with dserver.app.app_context():
        sql_db.engine.dispose()


@postgresql_only
@pytest.mark.parametrize("is_connected", [True, False], ids=["connected", "unconnected"])
def test_a_frozen_server_is_not_waited_for(dserver, postgresql, is_connected):
    deposit = Deposit(FILES)
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, deposit).json["uri"]
    assert dserver.bob.read(uri).status_code == 200
    if not is_connected:
        forget_connections(dserver)
    with postgresql.frozen():
        check_soon(lambda: dserver.bob.read(uri))
    assert dserver.bob.read(uri).status_code == 200


@postgresql_only
def test_a_server_that_freezes_during_a_completion_costs_the_answer_and_nothing_else(
    make_dserver, proxy, postgresql, s3
):
    dserver = make_dserver(**proxy.settings())
    client, deposit = DserverClientJS(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    frozen: list[Any] = []

    def freeze(request: Request) -> None:
        if request.is_copy and not frozen:
            frozen.append(postgresql.frozen())
            frozen[0].__enter__()

    proxy.before = freeze
    try:
        check_soon(lambda: dserver.alice.complete(grant["uri"]))
    finally:
        frozen[0].__exit__(None, None, None)
    forget_lease(dserver)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)


def forget_lease(dserver: Dserver) -> None:
    """Let the ten seconds pass after which a worker that is gone has no lease any more."""
    with dserver.app.app_context():
        sql_db.session.execute(text("UPDATE pending_upload SET lease_ends = 0"))
        sql_db.session.commit()


@postgresql_only
def test_a_command_ends_with_a_sentence_when_the_server_is_frozen(dserver, postgresql):
    forget_connections(dserver)
    with postgresql.frozen():
        result = dserver.app.test_cli_runner().invoke(pending_upload, ["list"])
    assert result.exit_code == 1
    assert "The database refused" in result.stderr


@postgresql_only
def test_a_locked_audit_table_stops_no_reader_and_its_own_reader_not_for_long(dserver, postgresql):
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit(FILES)).json["uri"]
    with postgresql.connect(str(make_url(url_of(dserver)).database)) as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE signed_url_audit IN ACCESS EXCLUSIVE MODE")
        path = f"/signed-urls/audit/{quote(dserver.base_uri, safe='')}"
        check_soon(lambda: dserver.alice.get(path))
        assert dserver.bob.read(uri).status_code == 200


@on_each_database
def test_a_database_that_somebody_else_locked_is_not_waited_for_long(dserver, database):
    client, deposit = DserverClientJS(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    with database.locked(url_of(dserver)):
        plan = client.plan(Deposit(FILES))
        check_soon(lambda: dserver.alice.begin(dserver.base_uri, plan))
        check_soon(lambda: dserver.alice.complete(grant["uri"]))
    assert dserver.alice.complete(grant["uri"]).status_code == 200


@on_each_database
@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_a_database_that_is_away_during_registration_is_not_the_index(dserver, s3, kind):
    deposit, search = Deposit(FILES), dserver.app.search
    dserver.app.search = Refuses(search, kind("INSERT", {}, Exception("no connection")))
    check_soon(lambda: CLIENT.upload(dserver.alice, dserver.base_uri, deposit))
    dserver.app.search = search
    assert dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}").status_code == 200
    check_dataset(dserver, s3, deposit)
