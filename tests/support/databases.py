"""The databases on which dserver is tested: each test gets one of its own, and may misuse it."""

from __future__ import annotations

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import flask_migrate
import psycopg
import pytest
from dservercore import sql_db
from flask import Flask
from flask_migrate import Migrate
from sqlalchemy import Engine, event, make_url

from dserver_signed_url_plugin.demo.app import create_app, prepare
from tests.support.postgresql_server import PostgreSQL

# For what a database has a part in: statements, locks, transactions, columns.
on_each_database = pytest.mark.database("sqlite", "postgresql")

MIGRATIONS = "dserver_signed_url_plugin:migrations"
INDEX_MIGRATIONS = "dserver_sql_index:migrations"


class Lock(ABC):
    """Somebody who lets nobody else write, from ``hold`` to ``close``."""

    @abstractmethod
    def hold(self) -> None:
        """Take the database; whoever holds it already goes on holding it."""

    @abstractmethod
    def close(self) -> None:
        """Let it go."""


class Database(ABC):
    """One kind of database."""

    name: ClassVar[str]
    # Engine options of a dserver that does not wait long for somebody else.
    impatient: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def create(self) -> str:
        """Return the URL of a new database, empty or with the tables of the migrations."""

    @abstractmethod
    def create_for(self, base_uri: str) -> str:
        """Return the URL of a new database with tables, people and their rights on a base URI."""

    @abstractmethod
    def create_empty(self) -> str:
        """Return the URL of a new database in which there is nothing."""

    @abstractmethod
    def drop(self, url: str) -> None:
        """Forget a database."""

    @abstractmethod
    def lock(self, url: str) -> Lock:
        """Return somebody who can hold the database; any thread may tell it to."""

    @contextmanager
    def locked(self, url: str) -> Iterator[None]:
        """Let somebody else write into the database all the time."""
        lock = self.lock(url)
        try:
            lock.hold()
            yield
        finally:
            lock.close()


class SQLite(Database):
    """Files in a directory."""

    name = "sqlite"
    impatient: ClassVar[Mapping[str, Any]] = {"connect_args": {"timeout": 0.05}}

    def __init__(self, directory: Path) -> None:
        self._directory, self._numbers = directory, count(1)
        self._template = self.create_empty()
        _prepare(self._template)

    def create(self) -> str:
        return self.create_empty()

    def create_for(self, base_uri: str) -> str:
        url = self.create_empty()
        shutil.copyfile(_path(self._template), _path(url))
        with closing(sqlite3.connect(_path(url))) as connection, connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("UPDATE base_uri SET base_uri = ?", (base_uri,))
        return url

    def create_empty(self) -> str:
        return f"sqlite:///{self._directory / f'{next(self._numbers)}.sqlite'}"

    def drop(self, url: str) -> None:
        """Leave the file: pytest keeps it for whoever wants to look, and removes it later."""

    def lock(self, url: str) -> Lock:
        return _SQLiteLock(url)


class _SQLiteLock(Lock):
    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(_path(url), timeout=30, check_same_thread=False)

    def hold(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        self._connection.rollback()
        self._connection.close()


class PostgreSQLDatabases(Database):
    """Databases of one server, each a copy of one that was migrated."""

    name = "postgresql"
    impatient: ClassVar[Mapping[str, Any]] = {"connect_args": {"options": "-c lock_timeout=50ms"}}

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        self._template = server.create()
        _migrate(server.url(self._template))
        self._prepared = server.create(self._template)
        _prepare(server.url(self._prepared))

    def create(self) -> str:
        return self._server.url(self._server.create(self._template))

    def create_for(self, base_uri: str) -> str:
        name = self._server.create(self._prepared)
        with closing(self._server.connect(name)) as connection:
            connection.execute("UPDATE base_uri SET base_uri = %s", (base_uri,))
        return self._server.url(name)

    def create_empty(self) -> str:
        return self._server.url(self._server.create())

    def drop(self, url: str) -> None:
        self._server.drop(str(make_url(url).database))

    def lock(self, url: str) -> Lock:
        return _PostgreSQLLock(self._server.connect(str(make_url(url).database)))


class _PostgreSQLLock(Lock):
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def hold(self) -> None:
        # As with SQLite, others may go on reading.
        with self._connection.cursor() as cursor:
            tables = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
            names = ", ".join(name for (name,) in cursor.execute(tables).fetchall())
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")

    def close(self) -> None:
        self._connection.close()


@contextmanager
def app_with_tables(database: Database) -> Iterator[Flask]:
    """Make an app with dserver's tables and nothing else; drop its database after the block."""
    url = database.create()
    app = _app_on(url)
    with app.app_context():
        sql_db.create_all()
    yield app
    with app.app_context():
        sql_db.engine.dispose()
    database.drop(url)


def _path(url: str) -> str:
    return str(make_url(url).database)


def _prepare(url: str) -> None:
    """Do what takes long once: a copy needs only the name of its base URI."""
    app = create_app({"SQLALCHEMY_DATABASE_URI": url})
    prepare(app, "s3://template")
    with app.app_context():
        sql_db.engine.dispose()


def _app_on(url: str) -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    sql_db.init_app(app)
    return app


def _migrate(url: str) -> None:
    """Do what `flask db upgrade` does, in this process."""
    app = _app_on(url)
    Migrate(app, sql_db)
    with app.app_context():
        for directory in (MIGRATIONS, INDEX_MIGRATIONS):
            flask_migrate.upgrade(directory)
        sql_db.engine.dispose()


@event.listens_for(Engine, "connect")
def _keep_nothing_safe(connection: Any, _record: Any) -> None:
    """Let SQLite not wait for the disk: no database of a test has to outlive the machine."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")
