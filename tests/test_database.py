"""The database: not ready, not kept waiting for the store, and its words are not repeated."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dservercore import ValidationError, sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.demo.app import create_app
from dserver_signed_url_plugin.errors import ConfigurationError
from tests.support.clients import Deposit, DtoolDserver, each_client
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.proxy import Request
from tests.support.refusals import assert_refused, nothing_is_written
from tests.support.search_plugins import Refuses

pytestmark = on_each_database

CLIENT = DtoolDserver()
FILES = {"geheim/one.txt": b"eins"}
ONE = generate_identifier("geheim/one.txt")
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}
PASSWORD = "pass%word"


# Not ready -----------------------------------------------------------------------------------


@pytest.fixture
def logged(caplog) -> Any:
    """All that this plugin logs, and what others log at their usual levels."""
    caplog.set_level(logging.DEBUG, "dserver_signed_url_plugin")
    return caplog


def check_not_ready(answer: Any, logged: Any, word: str) -> None:
    """Fail unless answer and log say what is wrong, and not with which values."""
    assert_refused(answer, 503, "database", "administrator")
    assert int(answer.headers["Retry-After"]) >= 1
    assert re.search(word, logged.text)
    assert "Traceback" not in logged.text
    for said in (answer.text, logged.text):
        # Relpaths of a manifest; staging tokens, fingerprints and hashes; whole statements.
        assert "geheim" not in said
        assert not re.search(r"\b([0-9a-f]{32}|[0-9a-f]{64})\b", said)
        assert not re.search(r"VALUES|WHERE", said)


def test_a_missing_table_is_named_to_the_administrator(dserver, logged):
    deposit = Deposit(FILES)
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE pending_upload"))
        sql_db.session.commit()
    for act in (
        lambda: dserver.alice.begin(dserver.base_uri, CLIENT.plan(deposit)),
        lambda: dserver.alice.complete(grant["uri"]),
    ):
        logged.clear()
        answer = act()
        check_not_ready(answer, logged, "pending_upload")
        assert "pending_upload" not in answer.text


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("DROP TABLE pending_upload", "a table is missing"),
        ("ALTER TABLE pending_upload DROP COLUMN staging", "a column is missing"),
    ],
)
def test_a_missing_column_is_told_from_a_missing_table(dserver, logged, change, missing):
    with dserver.app.app_context():
        sql_db.session.execute(text(change))
        sql_db.session.commit()
    answer = dserver.alice.begin(dserver.base_uri, CLIENT.plan(Deposit(FILES)))
    check_not_ready(answer, logged, missing)
    assert f"{missing}: run `flask db upgrade" in answer.json["message"]
    result = dserver.app.test_cli_runner().invoke(pending_upload, ["list"])
    assert result.exit_code == 1
    assert missing in result.stderr
    assert "check that it is running" not in result.stderr


@pytest.mark.parametrize(
    ("change", "back", "missing"),
    [
        (
            "ALTER TABLE sql_index_dataset RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO sql_index_dataset",
            "a table is missing",
        ),
        (
            "ALTER TABLE sql_index_dataset RENAME COLUMN readme_json TO elsewhere",
            "ALTER TABLE sql_index_dataset RENAME COLUMN elsewhere TO readme_json",
            "a column is missing",
        ),
    ],
    ids=["table", "column"],
)
def test_what_the_index_lacks_is_named_and_its_migrations_found(
    dserver, logged, change, back, missing
):
    deposit = Deposit(FILES)
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    with dserver.app.app_context():
        sql_db.session.execute(text(change))
        sql_db.session.commit()
    answer = dserver.alice.complete(grant["uri"])
    check_not_ready(answer, logged, missing)
    assert "/signed-urls/health/ready says" in answer.json["message"]
    behind = dserver.nobody.get("/signed-urls/health/ready")
    assert "--directory dserver_sql_index:migrations" in behind.json["message"]
    with dserver.app.app_context():
        sql_db.session.execute(text(back))
        sql_db.session.commit()
    assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_a_database_that_is_away_lacks_nothing(dserver):
    with dserver.app.app_context():
        engine = sql_db.engine
    event.listen(engine, "connect", _refuse_connection)
    engine.dispose()
    try:
        result = dserver.app.test_cli_runner().invoke(pending_upload, ["list"])
    finally:
        event.remove(engine, "connect", _refuse_connection)
        engine.dispose()
    assert result.exit_code == 1
    assert "otherwise check that it is running" in result.stderr
    assert "missing" not in result.stderr


def _refuse_connection(*_: Any) -> None:
    raise OperationalError(None, None, Exception("connection refused"))


REFUSE = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET default_transaction_read_only = on",
}


@contextmanager
def read_only(dserver: Dserver) -> Iterator[None]:
    """Let the database refuse every write."""

    def refuse(connection: Any, *_: Any) -> None:
        connection.cursor().execute(REFUSE[engine.dialect.name])
        connection.commit()

    with dserver.app.app_context():
        engine = sql_db.engine
    event.listen(engine, "connect", refuse)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", refuse)
        engine.dispose()


def test_a_database_that_takes_nothing_is_said_to_be_so_without_what_it_did_not_take(
    dserver, logged
):
    deposit = Deposit(FILES)
    plan = CLIENT.plan(deposit)
    with nothing_is_written(dserver), read_only(dserver):
        # What is to be written is the whole row, with manifest and staging.
        check_not_ready(dserver.alice.begin(dserver.base_uri, plan), logged, "read-?only")
    CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    logged.clear()
    with nothing_is_written(dserver), read_only(dserver):
        answer = dserver.alice.begin(dserver.base_uri, plan)
        check_not_ready(answer, logged, "read-?only")


# Not kept waiting ----------------------------------------------------------------------------


class Watch:
    """Notes every request to the store during which a connection to the database is in use."""

    def __init__(self, dserver: Dserver) -> None:
        with dserver.app.app_context():
            self._pool: Any = sql_db.engine.pool
        self._never = threading.Event()
        self.seen: list[Request] = []
        self.waiting: list[Request] = []

    def __call__(self, request: Request) -> None:
        self.seen.append(request)
        # A lease's sign of life takes a moment; a request that waits for us keeps what it has.
        for _ in range(200):
            if not self._pool.checkedout():
                return
            self._never.wait(0.01)
        self.waiting.append(request)


@pytest.fixture
def watched(make_dserver, proxy) -> tuple[Dserver, Watch]:
    dserver = make_dserver(**proxy.settings())
    proxy.before = watch = Watch(dserver)
    return dserver, watch


def check_none_waits(watch: Watch) -> None:
    assert len(watch.seen) > 5
    assert [(request.method, request.target) for request in watch.waiting] == []


@each_client
def test_no_connection_is_kept_while_the_store_works_for_an_initiation(watched, client):
    dserver, watch = watched
    plan = client.plan(Deposit(FILES, more=DESCRIPTIONS))
    for _ in range(2):
        assert dserver.alice.begin(dserver.base_uri, plan).status_code == 200
    check_none_waits(watch)


@each_client
def test_no_connection_is_kept_while_the_store_works_for_a_completion(watched, client):
    dserver, watch = watched
    deposit = Deposit(FILES, more=DESCRIPTIONS)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 400
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_none_waits(watch)


def test_no_connection_is_kept_while_the_store_works_for_a_reader(watched):
    dserver, watch = watched
    uri = CLIENT.upload(dserver.alice, dserver.base_uri, Deposit(FILES)).json["uri"]
    watch.waiting.clear()
    assert dserver.bob.read(uri).status_code == 200
    assert dserver.bob.read_item(uri, ONE).status_code == 200
    check_none_waits(watch)


# Its words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, OSError, ValidationError])
def test_the_words_of_an_index_are_neither_logged_nor_answered(dserver, logged, kind):
    deposit = Deposit(FILES)
    words = f"mongodb://dserver:{PASSWORD}@10.0.0.7:27017 does not answer"
    dserver.app.search = Refuses(dserver.app.search, kind(words))
    answer = CLIENT.upload(dserver.alice, dserver.base_uri, deposit)
    assert_refused(answer, 502, "index", kind.__name__)
    # What an index refuses to keep, dservercore logs by itself.
    ours = [record for record in logged.records if record.name != "dservercore.utils"]
    lines = "\n".join(logged.handler.format(record) for record in ours)
    assert deposit.uuid in lines
    for said in (answer.text, lines):
        assert PASSWORD not in said
        assert "10.0.0.7" not in said


# Behind PgBouncer ------------------------------------------------------------------------------


@pytest.mark.database("postgresql", reason="SQLite has no server that keeps statements")
@pytest.mark.parametrize(("query", "kept"), [("", True), ("&prepare_threshold=none", False)])
def test_a_url_can_say_that_no_statement_is_kept_in_a_connection(
    make_dserver, database, query, kept
):
    dserver = make_dserver(SQLALCHEMY_DATABASE_URI=database.create() + query)
    with dserver.app.app_context():
        for _ in range(10):
            sql_db.session.execute(text("SELECT 1"))
        number = sql_db.session.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
        sql_db.session.remove()
    assert (number > 0) is kept


@pytest.mark.database("postgresql", reason="a parameter of psycopg")
@pytest.mark.parametrize("said", ["never", "5&prepare_threshold=6"])
def test_a_url_that_says_something_else_of_statements_stops_dserver(said):
    address = f"postgresql+psycopg://x@127.0.0.1:1/x?prepare_threshold={said}"
    with pytest.raises(ConfigurationError, match="a number or `none` as its prepare_threshold"):
        create_app({"SQLALCHEMY_DATABASE_URI": address})
