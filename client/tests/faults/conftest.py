"""dserver and a store behind proxies, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dservercore import sql_db

from client.tests.faults.world import (
    FILES,
    PART,
    README,
    World,
    reached_through_proxies,
    write,
)
from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.databases import Database
from tests.support.dserver import Bucket, Dserver
from tests.support.proxy import StoreProxy


@pytest.fixture(scope="module")
def served() -> Callable[[Any], Any]:
    """Make of dserver's app what people reach; a module may leave out something."""
    return lambda app: app


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest,
    store: LocalStore,
    jwt_settings: dict[str, Any],
    jwt_tokens: dict[str, str],
    database: Database,
    served: Callable[[Any], Any],
) -> Iterator[World]:
    """dserver and its store, each behind a proxy."""
    name = f"faults-{request.module.__name__.rpartition('_')[2]}"
    store.create_bucket(name)
    bucket = Bucket(name, store.endpoint, store.access_key, store.secret_key)
    url = database.create()

    def dserver_at(proxy: StoreProxy) -> Dserver:
        settings = {
            **jwt_settings,
            **proxy.public_settings(),
            "SQLALCHEMY_DATABASE_URI": url,
            "SIGNED_URL_PART_BYTES": PART,
        }
        return Dserver(bucket, settings, jwt_tokens)

    with reached_through_proxies(dserver_at, bucket, served) as made:
        yield made
    with made.dserver.app.app_context():
        sql_db.engine.dispose()
    database.drop(url)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory to be deposited."""
    return write(tmp_path / "source", FILES)


@pytest.fixture(scope="module")
def dataset(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a dataset to be fetched."""
    source = write(tmp_path_factory.mktemp("dataset"), FILES)
    options = {"name": "fetched", "readme": README}
    return str(world.repeated("deposit", source, world.dserver.base_uri, **options).uri)
