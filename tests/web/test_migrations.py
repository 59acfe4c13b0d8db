"""Migrations: what they make is what the models say, and what others made stays as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from dservercore import sql_db
from flask import Flask
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    create_engine,
    inspect,
    literal_column,
    select,
    table,
    text,
)

from dserver_signed_url_plugin.demo.app import create_app
from dserver_signed_url_plugin.models import PendingUpload
from tests.databases import MIGRATIONS

DSERVERS = {"user", "base_uri", "dataset", "search_permissions", "register_permissions"}
VERSION_TABLE = "alembic_version_signed_url"
UPLOAD = {
    "uuid": "6f9619ff-8b86-4011-b42d-00c04fc964ff",
    "uri": "s3://lab/6f9619ff-8b86-4011-b42d-00c04fc964ff",
    "base_uri": "s3://lab",
    "name": "my-dataset",
    "creator_username": "alice",
    "created_at": datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc),
    "manifest_json": "{}",
    "number_of_items": 0,
    "descriptions_json": "{}",
    "fingerprint": "f" * 64,
    "uploader": "alice",
    "staging": "a" * 32,
}


def ours() -> set[str]:
    """The tables of the plugin's models; the demo's is none of them."""
    mappers = sql_db.Model.registry.mappers
    return {
        mapper.local_table.name
        for mapper in mappers
        if mapper.class_.__module__.startswith("dserver_signed_url_plugin.")
    }


class Host:
    """Whoever runs dserver: a database, an app, and what can be typed."""

    def __init__(self, directory: Path, url: str, settings: Mapping[str, Any]) -> None:
        self._directory = directory
        self._settings = {**settings, "SQLALCHEMY_DATABASE_URI": url}
        self.app: Flask = create_app(self._settings)
        self.engine: Engine = create_engine(url)

    def types(self, command: str, *options: str) -> None:
        """Run `flask db …` with the plugin's migrations, and expect it to succeed."""
        result = self.tries(command, *options)
        assert result.exit_code == 0, result.output

    def tries(self, command: str, *options: str) -> Result:
        """Run it; return what came of it."""
        arguments = ["db", command, "--directory", MIGRATIONS, *options]
        result = self.app.test_cli_runner().invoke(args=arguments)
        with self.app.app_context():
            sql_db.engine.dispose()
        return result

    def types_at_home(self, *commands: str) -> str:
        """Run `flask db …` as it stands, in a process and a directory of the host's own."""
        settings = self._directory / "settings.json"
        settings.write_text(json.dumps(self._settings))
        done = subprocess.run(
            [sys.executable, "-c", AT_HOME, *commands],
            cwd=self._directory,
            env={"PATH": os.environ["PATH"], "DSERVER_DEMO_SETTINGS": str(settings)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def own_migrations(self) -> str:
        """What autogeneration wrote for the host."""
        written = sorted((self._directory / "migrations" / "versions").glob("*.py"))
        return "\n".join(path.read_text() for path in written)

    @property
    def tables(self) -> set[str]:
        return set(inspect(self.engine).get_table_names())

    @property
    def version(self) -> Sequence[Any]:
        """Where the plugin's history is."""
        return self.run(select(literal_column("version_num")).select_from(table(VERSION_TABLE)))

    def run(self, statement: Any, *parameters: Any) -> Sequence[Any]:
        with self.engine.begin() as connection:
            found = connection.execute(statement, *parameters)
            return found.all() if found.returns_rows else []


# The host's env.py sets up logging for the whole process.
AT_HOME = """
import sys
from dserver_signed_url_plugin.demo.app import create_app_from_environment
for command in sys.argv[1:]:
    runner = create_app_from_environment().test_cli_runner()
    result = runner.invoke(args=["db", *command.split()])
    print(result.stdout, flush=True)
    if result.exit_code:
        sys.exit(f"{command}: {result.output} {result.exception!r}")
"""


@pytest.fixture
def new_host(database, jwt_settings, tmp_path) -> Iterator[Callable[[], Host]]:
    """Make somebody with an empty database."""
    hosts: list[tuple[Host, str]] = []

    def make() -> Host:
        url = database.create_empty()
        directory = tmp_path / f"host-{len(hosts)}"
        directory.mkdir()
        hosts.append((Host(directory, url, jwt_settings), url))
        return hosts[-1][0]

    yield make
    for host, url in hosts:
        host.engine.dispose()
        with host.app.app_context():
            sql_db.engine.dispose()
        database.drop(url)


@pytest.fixture
def host(new_host) -> Host:
    return new_host()


def shape(engine: Engine, tables: set[str]) -> dict[str, Any]:
    """What can be seen of tables from outside."""
    seen = inspect(engine)
    lists = ("foreign_keys", "unique_constraints", "check_constraints", "indexes")

    def of(name: str) -> dict[str, Any]:
        columns = {
            column["name"]: [
                str(column["type"]),
                getattr(column["type"], "timezone", None),
                *(column.get(fact) for fact in ("nullable", "default", "autoincrement")),
            ]
            for column in seen.get_columns(name)
        }
        found = {kind: sorted(getattr(seen, f"get_{kind}")(name), key=str) for kind in lists}
        return {"columns": columns, "key": seen.get_pk_constraint(name), **found}

    return {name: of(name) for name in tables}


def counts_for_ever(connection: Connection, name: str) -> bool:
    """Tell whether a number is never given out twice, even after its row was deleted."""
    if connection.dialect.name != "sqlite":
        return True
    statement = text("SELECT sql FROM sqlite_master WHERE name = :name")
    return "AUTOINCREMENT" in connection.execute(statement, {"name": name}).scalar_one()


def test_an_empty_database_gets_what_the_models_say(host, new_host):
    host.types("upgrade")
    assert host.tables == DSERVERS | ours() | {VERSION_TABLE}
    host.types("check")

    modelled = new_host()
    with modelled.app.app_context():
        sql_db.create_all()
        sql_db.engine.dispose()
    tables = DSERVERS | ours()
    assert shape(host.engine, tables) == shape(modelled.engine, tables)
    for engine in (host.engine, modelled.engine):
        with engine.connect() as connection:
            assert counts_for_ever(connection, "pending_upload")


def test_what_they_write_down_as_sql_makes_the_same(host, new_host):
    script = host.types_at_home(f"upgrade --sql --directory {MIGRATIONS}")
    assert host.tables == set()
    written = new_host()
    for statement in map(str.strip, script.split(";")):
        if statement not in ("", "BEGIN", "COMMIT"):
            written.run(text(statement))

    host.types("upgrade")
    assert shape(written.engine, written.tables) == shape(host.engine, host.tables)
    assert written.version == host.version != []


def test_down_takes_the_plugins_tables_and_up_brings_them_back(host):
    host.types("upgrade")
    host.run(sql_db.metadata.tables["user"].insert(), {"username": "alice", "is_admin": False})
    for _ in range(2):
        host.run(PendingUpload.__table__.insert(), UPLOAD)
        host.types("downgrade", "base")
        assert host.tables == DSERVERS | {VERSION_TABLE}
        host.types("upgrade")
        host.types("check")
        assert host.run(select(PendingUpload.id)) == []
    assert [name for _, name, _ in host.run(text('SELECT * FROM "user"'))] == ["alice"]


def test_up_again_changes_nothing(host):
    host.types("upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(host.engine, host.tables)
    host.types("upgrade")
    assert shape(host.engine, host.tables) == before
    assert len(host.run(select(PendingUpload.id))) == 1


def metadata_of(names: set[str]) -> list[Table]:
    return [sql_db.metadata.tables[name] for name in names]


@pytest.mark.parametrize("kind", ["dserver's tables only", "every table of the app"])
def test_beside_another_history_only_what_is_missing_is_created(host, kind):
    there = DSERVERS if kind == "dserver's tables only" else set(sql_db.metadata.tables)
    sql_db.metadata.create_all(host.engine, metadata_of(there))
    for statement in (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('of-the-host')",
        "CREATE TABLE freezer (shelf INTEGER NOT NULL PRIMARY KEY)",
        "INSERT INTO freezer VALUES (7)",
    ):
        host.run(text(statement))
    before = shape(host.engine, host.tables)

    for _ in range(2):
        host.types("upgrade")
        after = shape(host.engine, host.tables)
        assert after.keys() == before.keys() | ours() | {VERSION_TABLE}
        assert {name: after[name] for name in before} == before
        host.types("check")
        host.types("downgrade", "base")
        assert host.tables >= before.keys() - ours()
    assert host.run(text("SELECT * FROM alembic_version")) == [("of-the-host",)]
    assert host.run(text("SELECT * FROM freezer")) == [(7,)]


def test_whoever_autogenerates_may_use_ours_too(host):
    host.types_at_home("init", "migrate", "upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(host.engine, host.tables - {VERSION_TABLE})
    host.types("upgrade")
    assert shape(host.engine, host.tables - {VERSION_TABLE}) == before
    assert len(host.run(select(PendingUpload.id))) == 1
    host.types("check")
    host.types_at_home("check")


def test_whoever_used_ours_may_autogenerate(host):
    host.types("upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(host.engine, host.tables)
    host.types_at_home("init", "migrate", "upgrade", "check")
    # The demo's own table is one that this host had not created yet.
    assert host.own_migrations.count("op.create_table") == 1
    downwards = host.own_migrations.partition("def downgrade")[0]
    assert "op.drop" not in downwards
    assert {name: shape(host.engine, {name})[name] for name in before} == before
    assert len(host.run(select(PendingUpload.id))) == 1
    assert host.version != []


def test_a_table_that_does_not_fit_is_named(host, caplog):
    host.types("upgrade")
    host.run(text("ALTER TABLE pending_upload DROP COLUMN manifest_json"))
    assert host.tries("check").exit_code != 0
    assert "manifest_json" in caplog.text


def test_a_checkout_has_them_where_flask_looks(host):
    with from_checkout():
        result = host.app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert result.exit_code == 0, result.output
    assert host.tables == DSERVERS | ours() | {VERSION_TABLE}


@contextmanager
def from_checkout() -> Iterator[None]:
    """Be where a checkout begins."""
    before = Path.cwd()
    os.chdir(Path(__file__).parents[2])
    try:
        yield
    finally:
        os.chdir(before)
