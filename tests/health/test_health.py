"""The health routes: they answer anybody, within a second, and say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import text

from dserver_signed_url_plugin import tables
from tests.support.audit_records import said, written
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.hanging_checks import end_checks
from tests.support.logged_secrets import secrets_of
from tests.support.refusals import assert_refused
from tests.support.silent_servers import silent

READY = "/signed-urls/health/ready"
LIVE = "/signed-urls/health/live"

postgresql_only = pytest.mark.database("postgresql", reason="SQLite has no server")


@pytest.fixture(autouse=True)
def _checks_end(make_dserver_on: Callable[..., Dserver]) -> Iterator[None]:
    """Wait for checks that nobody waits for, before their connections are closed."""
    yield
    end_checks()


@pytest.fixture
def sql(dserver: Dserver) -> Callable[[str], None]:
    """Run a statement in dserver's database, behind its back."""

    def run(statement: str) -> None:
        with dserver.app.app_context():
            sql_db.session.execute(text(statement))
            sql_db.session.commit()

    return run


@pytest.fixture
def migrated(dserver: Dserver, sql: Callable[[str], None]) -> Callable[[str | None], None]:
    """Let the database be at a revision, or have no version table."""

    def be_at(revision: str | None) -> None:
        sql(f"DROP TABLE IF EXISTS {tables.VERSION_TABLE}")
        if revision is not None:
            sql(f"CREATE TABLE {tables.VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)")
            sql(f"INSERT INTO {tables.VERSION_TABLE} VALUES ('{revision}')")  # noqa: S608

    return be_at


def promptly(dserver: Dserver, path: str = READY) -> Any:
    """Return an answer, which has to come before one that waits for four seconds to connect."""
    began = monotonic()
    answer = dserver.nobody.get(path)
    assert monotonic() - began < 3
    return answer


def checked(dserver: Dserver, path: str = READY) -> Any:
    """Return an answer that knows of the database; here its check may take more than 0.8 s."""
    for _ in range(30):
        answer = promptly(dserver, path)
        if "database-busy" not in answer.text:
            break
    return answer


def check_unready(answer: Any, slug: str) -> None:
    assert_refused(answer, 503)
    assert answer.json["errors"] == {"slug": slug}
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_server_is_ready_without_a_token(dserver):
    answer = checked(dserver)
    assert (answer.status_code, answer.json["status"]) == (200, "ready")
    assert answer.headers["Cache-Control"] == "no-store"


@on_each_database
@pytest.mark.parametrize(
    ("revision", "migrations"), [(None, "foreign"), ("9999_of_next_year", "newer")]
)
def test_tables_of_others_and_of_newer_versions_are_good_enough(
    dserver, migrated, revision, migrations
):
    migrated(revision)
    answer = checked(dserver)
    assert answer.json == {"status": "ready", "migrations": migrations}


def test_additional_tables_and_columns_do_no_harm(dserver, sql, migrated):
    migrated("9999")
    sql("ALTER TABLE pending_upload ADD COLUMN of_next_year INTEGER")
    assert checked(dserver).status_code == 200


def test_a_revision_that_has_not_been_run_makes_a_server_unready(dserver, migrated):
    migrated("0003")
    check_unready(checked(dserver), "migrations-behind")
    assert "flask db upgrade" in checked(dserver).json["message"]


@on_each_database
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE temp_share_deposit",
        "ALTER TABLE signed_url_audit DROP COLUMN verified",
        "ALTER TABLE dataset DROP COLUMN size_in_bytes",
    ],
)
def test_a_missing_table_or_column_makes_a_server_unready(dserver, sql, migrated, statement):
    migrated("9999")
    sql(statement)
    check_unready(checked(dserver), "migrations-behind")


def check_index_behind(answer: Any) -> None:
    check_unready(answer, "migrations-behind")
    assert "--directory dserver_sql_index:migrations" in answer.json["message"]


@on_each_database
@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE sql_index_tag", "ALTER TABLE sql_index_dataset DROP COLUMN readme_json"],
)
def test_a_missing_table_or_column_of_the_index_makes_a_server_unready(dserver, sql, statement):
    sql(statement)
    check_index_behind(checked(dserver))


@pytest.mark.database("sqlite", reason="migrations have made the tables of PostgreSQL")
def test_a_revision_of_the_index_that_has_not_been_run_makes_a_server_unready(dserver, sql):
    sql("CREATE TABLE alembic_version_sql_index (version_num VARCHAR(32))")
    check_index_behind(checked(dserver))


def test_a_server_becomes_ready_as_soon_as_its_tables_are_there(dserver, migrated):
    migrated("0003")
    check_unready(checked(dserver), "migrations-behind")
    migrated(None)
    assert checked(dserver).status_code == 200


@postgresql_only
@pytest.mark.parametrize("is_connected", [True, False], ids=["connected", "unconnected"])
def test_a_hanging_database_makes_a_server_unready_within_a_second(
    make_dserver, postgresql, is_connected
):
    dserver = make_dserver()
    with dserver.app.app_context():
        sql_db.session.execute(text("SELECT 1"))
        if not is_connected:
            sql_db.session.remove()
            sql_db.engine.dispose()
    with postgresql.frozen():
        for _ in range(2):
            check_unready(promptly(dserver), "database-busy")
        assert promptly(dserver, LIVE).status_code == 200


@postgresql_only
def test_an_exhausted_pool_makes_a_server_unready_within_a_second(make_dserver):
    pool = {"pool_size": 1, "max_overflow": 0}
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=pool)
    with dserver.app.app_context(), ExitStack() as stack:
        stack.enter_context(sql_db.engine.connect())
        answer = promptly(dserver)
    check_unready(answer, "database-busy")


@postgresql_only
def test_a_database_that_refuses_is_named_in_no_answer(make_dserver):
    address = "postgresql+psycopg://dserver:very-secret@127.0.0.1:1/very-private"
    dserver = make_dserver()
    with dserver.app.app_context():
        sql_db.engine.dispose()
        sql_db.engines[None] = sql_db.create_engine(address)
    answer = promptly(dserver)
    check_unready(answer, "database-busy")
    for secret in ("very-secret", "127.0.0.1", "very-private"):
        assert secret not in answer.text


@pytest.fixture
def silent_dserver(make_dserver_on: Callable[..., Dserver]) -> Iterator[Dserver]:
    """A dserver whose store takes connections, and says nothing."""
    with silent() as store:
        yield make_dserver_on(store.bucket(), SIGNED_URL_STORAGE_SECONDS=1)


def test_stores_are_told_on_request_and_make_no_server_unready(silent_dserver):
    dserver = silent_dserver
    path = f"{READY}?stores=true"
    assert checked(dserver, path).json["stores"] == []
    plan = {"uuid": "550e8400-e29b-41d4-a716-446655440000", "name": "cress"}
    for _ in range(5):
        assert dserver.alice.begin(dserver.base_uri, plan).status_code == 502
    answer = checked(dserver, path)
    assert answer.status_code == 200
    assert answer.json["stores"] == [{"base_uri": dserver.base_uri, "is_refused": True}]
    assert "stores" not in checked(dserver).json
    for secret in (*secrets_of(dserver.place), dserver.place.endpoint):
        assert secret not in answer.text


def test_probes_are_neither_audited_nor_limited(make_dserver, caplog):
    dserver = make_dserver(SIGNED_URL_RATE_LIMIT="1 per day")
    for path in (LIVE, READY, f"{READY}?stores=maybe"):
        for _ in range(3):
            assert checked(dserver, path).status_code in (200, 422)
    assert said(caplog) == []
    assert written(dserver) == []


def test_a_live_server_asks_nobody(dserver, sql):
    sql("DROP TABLE pending_upload")
    assert json.loads(promptly(dserver, LIVE).text) == {"status": "live"}
