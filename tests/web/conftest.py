"""A dserver that the tests of one module share, and a proxy between a dserver and its store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dservercore import sql_db

from dserver_signed_url_plugin.demo.store import LocalStore
from tests.databases import Database
from tests.dserver import Bucket, Dserver
from tests.proxy import StoreProxy


@pytest.fixture(scope="module")
def lab(
    request: pytest.FixtureRequest,
    store: LocalStore,
    jwt_settings: dict[str, Any],
    database: Database,
) -> Iterator[Dserver]:
    """One dserver and one bucket per module, because making one takes long."""
    module = request.module.__name__.rpartition(".")[2].replace("_", "-")
    name = f"{module}-{database.name}"
    store.create_bucket(name)
    bucket = Bucket(name, store.endpoint, store.access_key, store.secret_key)
    url = database.create()
    made = Dserver(bucket, {**jwt_settings, "SQLALCHEMY_DATABASE_URI": url})
    yield made
    with made.app.app_context():
        sql_db.engine.dispose()
    database.drop(url)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[StoreProxy]:
    """What dserver asks of the store can be counted, hindered and overtaken here."""
    with StoreProxy(bucket) as running:
        yield running
