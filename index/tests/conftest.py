"""An empty index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dserver_sql_index.tables import datasets, tags, texts
from dservercore import sql_db
from flask import Flask
from sqlalchemy import delete, event

from tests.support.databases import Database, app_with_tables


@pytest.fixture(scope="module")
def module_app(database: Database) -> Iterator[Flask]:
    """An app with a database of its own, for as many tests as share it."""
    with app_with_tables(database) as app:
        yield app


@pytest.fixture
def index(module_app: Flask) -> Iterator[Flask]:
    """An app whose context is entered, and whose index is empty."""
    with module_app.app_context():
        yield module_app
        sql_db.session.rollback()
        for table in (tags, texts, datasets):
            sql_db.session.execute(delete(table))
        sql_db.session.commit()


@pytest.fixture
def statements(index: Flask) -> Iterator[list[str]]:
    """Every statement that the test sends, but for COMMIT and the like."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(sql_db.engine, "before_cursor_execute", note)
    yield sent
    event.remove(sql_db.engine, "before_cursor_execute", note)
