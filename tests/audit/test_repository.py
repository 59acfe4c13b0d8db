"""The table of decisions disturbs nobody, and forgets in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import text

from dserver_signed_url_plugin.audit.repository import MAX_PURGED, Search, statement
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.client_networks import network_of
from tests.support.audit_records import audit, number_of_rows, rows, run, said, write
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, Person, encoded
from tests.support.refusals import assert_refused

pytestmark = on_each_database

CLIENT = DtoolDserver()
OFF = {"SIGNED_URL_AUDIT_DAYS": 0}


@pytest.fixture
def deposited(make_dserver) -> Callable[..., tuple[Dserver, str]]:
    """Make a dserver that has a dataset; return its URI too."""

    def make(**config: Any) -> tuple[Dserver, str]:
        dserver, deposit = make_dserver(**config), Deposit()
        assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
        return dserver, f"{dserver.base_uri}/{deposit.uuid}"

    return make


def test_without_its_table_everything_works_and_the_administrator_is_told(deposited, caplog):
    dserver, uri = deposited()
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE signed_url_audit"))
        sql_db.session.commit()
    before = len(said(caplog))
    assert dserver.bob.read(uri).status_code == 200
    assert CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).status_code == 200
    assert len(said(caplog)) == before + 3
    assert caplog.text.count("flask db upgrade") == 3
    assert "INSERT" not in caplog.text

    assert_refused(audit(dserver.alice, uri), 503, "flask db upgrade")
    shown = run(dserver)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "flask db upgrade" in shown.stderr
    assert "Traceback" not in shown.output


def test_a_locked_database_holds_nobody_up_for_long(deposited, database, caplog):
    dserver, uri = deposited()
    before = number_of_rows(dserver)
    with database.locked(dserver.app.config["SQLALCHEMY_DATABASE_URI"]):
        started = time.monotonic()
        answer = dserver.bob.read(uri)
        waited = time.monotonic() - started
    # dserver itself waits for 30 seconds (SQLite), or for ever (PostgreSQL).
    assert (answer.status_code, waited < 15) == (200, True)
    assert said(caplog)[-1]["action"] == "read-dataset"
    [warning] = [line for line in caplog.records if "could not be written" in line.getMessage()]
    # Handlers of the audit's logger, and of those below it, write JSON.
    assert not warning.name.startswith("dserver_signed_url_plugin.audit.")
    assert number_of_rows(dserver) == before
    assert dserver.bob.read(uri).status_code == 200
    assert number_of_rows(dserver) == before + 1


@pytest.mark.database("sqlite", reason="Only there is it a property of the connection.")
def test_a_connection_keeps_its_timeout_and_its_durability(deposited):
    dserver, uri = deposited(
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "connect_args": {"timeout": 7}}
    )
    with dserver.app.app_context():
        # The only connection of the pool, which tests do not let wait for the disk.
        sql_db.session.execute(text("PRAGMA synchronous = 2"))
    dserver.bob.read(uri)
    with dserver.app.app_context():
        assert sql_db.session.scalar(text("PRAGMA busy_timeout")) == 7000
        assert sql_db.session.scalar(text("PRAGMA synchronous")) == 2


def test_one_connection_is_enough_for_a_request_and_its_decision(make_dserver, caplog):
    only_one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=only_one)
    assert dserver.dave.read(f"{dserver.base_uri}/{Deposit().uuid}").status_code == 403
    assert dserver.bob.read(f"{dserver.base_uri}/{Deposit().uuid}").status_code == 404
    assert len(rows(dserver)) == 2
    assert "could not be written" not in caplog.text


def test_a_database_that_refused_is_not_asked_again(make_dserver, database, caplog):
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=database.impatient)
    with database.locked(dserver.app.config["SQLALCHEMY_DATABASE_URI"]):
        assert_refused(dserver.alice.begin(dserver.base_uri, CLIENT.plan(Deposit())), 503)
    assert [line["reason"] for line in said(caplog)] == ["database-busy"]
    assert rows(dserver) == []


def test_many_at_once_are_as_many_decisions(deposited, caplog):
    dserver, uri = deposited()
    before = number_of_rows(dserver)

    def read(_: int) -> int:
        return Person(dserver.app, dserver.tokens["bob"]).read(uri).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read, range(40))) == {200}
    assert number_of_rows(dserver) == before + 40
    assert "could not be written" not in caplog.text


# How long it is kept -------------------------------------------------------------------------


def test_without_the_table_there_are_still_the_lines(deposited, caplog):
    dserver, uri = deposited(**OFF)
    assert dserver.bob.read(uri).status_code == 200
    assert [line["action"] for line in said(caplog)] == [
        "upload-begin",
        "upload-complete",
        "read-dataset",
    ]
    assert rows(dserver) == []
    assert_refused(audit(dserver.alice, uri), 404, "SIGNED_URL_AUDIT_DAYS")
    shown = run(dserver)
    assert shown.exit_code == 1
    assert "SIGNED_URL_AUDIT_DAYS" in shown.stderr


def clean_up(dserver: Dserver, *options: str) -> Any:
    """Type what cron does."""
    command = ["cleanup", "--older-than", "48", *options]
    return dserver.app.test_cli_runner().invoke(pending_upload, command)


def test_the_clean_up_deletes_what_is_older_than_the_setting(make_dserver):
    dserver = make_dserver(SIGNED_URL_AUDIT_DAYS=30)
    write(dserver, 2 * MAX_PURGED + 10, days_ago=30.1)
    write(dserver, 5, days_ago=29.9)
    for _ in range(200):
        dserver.dave.read(dserver.base_uri)
    before = number_of_rows(dserver)
    assert before >= 2 * MAX_PURGED + 15, "a request deletes nothing"

    assert clean_up(dserver, "--dry-run").exit_code == 0
    assert number_of_rows(dserver) == before
    done = clean_up(dserver)
    assert (done.exit_code, "Deleted 2,010 decisions" in done.stderr) == (0, True)
    # That of the clean-up itself is added.
    assert number_of_rows(dserver) == before - 2 * MAX_PURGED - 10 + 1
    assert "decision" not in clean_up(dserver).output


def test_without_its_table_the_clean_up_says_so_and_cleans_up(make_dserver):
    dserver = make_dserver()
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE signed_url_audit"))
        sql_db.session.commit()
    done = clean_up(dserver)
    assert (done.exit_code, "flask db upgrade" in done.stderr) == (0, True)
    assert "nothing to clean up" in done.stdout


def test_what_is_older_than_the_setting_is_not_shown_before_it_goes(make_dserver):
    dserver = make_dserver(SIGNED_URL_AUDIT_DAYS=30)
    write(dserver, 3, days_ago=31, uri=dserver.base_uri)
    write(dserver, 2, days_ago=29, uri=dserver.base_uri)
    assert len(audit(dserver.alice, dserver.base_uri).json["decisions"]) == 2
    assert run(dserver, "--since", "2000-01-01", "--user", "carol").stdout.count("\n") == 2


def test_two_that_purge_at_once_do_not_disturb_each_other(make_dserver):
    dserver = make_dserver(SIGNED_URL_AUDIT_DAYS=30)
    write(dserver, 5 * MAX_PURGED, days_ago=31)

    def purge(_: int) -> int:
        with dserver.app.app_context():
            return dserver.services.audit.purge()

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(purge, range(2))) == 5 * MAX_PURGED - 1
    # The newest stays.
    assert number_of_rows(dserver) == 1


# Counted together ----------------------------------------------------------------------------


ADDRESSES = ("192.0.2.{0}", "198.51.100.7:{0}", "2001:db8::{0}")


def test_refusals_without_a_token_are_one_row_per_network_and_minute(make_dserver, caplog):
    dserver = make_dserver()
    uri = f"{dserver.base_uri}/{Deposit().uuid}"

    def knock(number: int) -> int:
        client = dserver.app.test_client()
        address = {"REMOTE_ADDR": ADDRESSES[number % 3].format(number // 150)}
        return client.get(f"/signed-urls/dataset/{encoded(uri)}", environ_base=address).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(knock, range(300))) == {401}
    found = rows(dserver)
    kinds = {(network_of(row["address"]), f"{row['time']:%H:%M}") for row in found}
    assert len(found) == len(kinds)
    assert len({network for network, _ in kinds}) == 4
    assert {row["address"] for row in found} >= {"192.0.2.0", "192.0.2.1"}
    assert sum(row["requests"] for row in found) == 300
    assert {(row["username"], row["reason"]) for row in found} == {("", "not-authenticated")}
    # Each has its line, and nobody is told that a row was lost.
    assert len(said(caplog)) == 300
    assert "could not be written" not in caplog.text
    assert f"requests={found[0]['requests']}" in run(dserver).stdout


def test_what_has_a_name_is_counted_one_by_one(make_dserver):
    dserver = make_dserver()
    for _ in range(3):
        dserver.dave.read(f"{dserver.base_uri}/{Deposit().uuid}")
    assert [(row["username"], row["requests"]) for row in rows(dserver)] == [("dave", 1)] * 3


# Looking it up -------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [True, False])
def test_a_search_uses_an_index(make_dserver, database, below):
    dserver = make_dserver()
    uri = "s3://lab-7" if below else "s3://lab-7/550e8400-e29b-41d4-a716-446655440000"
    for number in range(50):
        write(dserver, 200, days_ago=1, uri=f"s3://lab-{number}")
    with dserver.app.app_context():
        sql_db.session.execute(text("ANALYZE"))
        search = Search(uri, below, since=datetime.now(timezone.utc) - timedelta(days=365))
        words = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}[database.name]
        wanted = statement(search).limit(101)
        written = wanted.compile(sql_db.engine, compile_kwargs={"literal_binds": True})
        plan = sql_db.session.connection().exec_driver_sql(words + str(written))
        said = "\n".join(str(row) for row in plan)
    assert f"ix_signed_url_audit_{'base_uri' if below else 'uri'}" in said
