"""A dserver that the tests of one module share, and a proxy between a dserver and its store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dservercore import sql_db
from flask import Flask

from dserver_signed_url_plugin.demo.azurite import LocalAzure
from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.databases import Database, app_with_tables
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.flask_db_hosts import Host
from tests.support.proxy import StoreProxy


@pytest.fixture(scope="module")
def lab_bucket(request: pytest.FixtureRequest, store: LocalStore, database: Database) -> Bucket:
    """One bucket per module."""
    # Modules in two packages may have the same name; a bucket's has at most 63 characters.
    module = "-".join(request.module.__name__.split(".")[-2:]).replace("_", "-")
    name = f"{module}-{database.name}"
    store.create_bucket(name)
    return Bucket(name, store.endpoint, store.access_key, store.secret_key)


@pytest.fixture(scope="module")
def lab_account(azure_store: LocalAzure, unused_accounts: Iterator[str]) -> Account:
    """One account per module."""
    name = next(unused_accounts)
    return Account(name, azure_store.endpoint(name), azure_store.key)


@pytest.fixture(scope="module", params=["lab_bucket", "lab_account"], ids=["bucket", "account"])
def lab_place(request: pytest.FixtureRequest) -> Bucket | Account:
    """The bucket, and the account, that the tests of one module share."""
    found: Bucket | Account = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab_proxy(lab_place: Bucket | Account) -> Iterator[StoreProxy]:
    """A proxy in front of it, which the tests of one module share, too."""
    with StoreProxy(lab_place) as running:
        yield running


@pytest.fixture(scope="module")
def lab_on(
    jwt_settings: dict[str, Any], database: Database, jwt_tokens: dict[str, str], described: bool
) -> Callable[[Bucket | Account], Iterator[Dserver]]:
    """What yields the dserver of a module, whose store is the argument."""
    return lambda place: dserver_on(place, jwt_settings, database, jwt_tokens, described=described)


@pytest.fixture(scope="module")
def lab(lab_on: Callable[[Bucket], Iterator[Dserver]], lab_bucket: Bucket) -> Iterator[Dserver]:
    """One dserver and one bucket per module, because making one takes long."""
    yield from lab_on(lab_bucket)


@pytest.fixture(scope="module")
def azure_lab(
    lab_on: Callable[[Account], Iterator[Dserver]], lab_account: Account
) -> Iterator[Dserver]:
    """The same with an account."""
    yield from lab_on(lab_account)


def dserver_on(
    place: Bucket | Account,
    config: Mapping[str, Any],
    database: Database,
    known: Mapping[str, str] | None = None,
    *,
    described: bool = False,
) -> Iterator[Dserver]:
    """Yield a dserver with a database of its own, for as many tests as share it."""
    url = database.create_for(place.base_uri)
    settings = {**config, "SQLALCHEMY_DATABASE_URI": url}
    made = Dserver(place, settings, known, described=described, prepared=True)
    yield made
    with made.app.app_context():
        sql_db.engine.dispose()
    database.drop(url)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[StoreProxy]:
    """What dserver asks of the store can be counted, hindered and overtaken here."""
    with StoreProxy(bucket) as running:
        yield running


@pytest.fixture
def azure_proxy(account: Account) -> Iterator[StoreProxy]:
    """The same in front of an account."""
    with StoreProxy(account) as running:
        yield running


@pytest.fixture
def new_host(
    database: Database, jwt_settings: dict[str, Any], tmp_path: Path
) -> Iterator[Callable[[], Host]]:
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
def host(new_host: Callable[[], Host]) -> Host:
    """Somebody with an empty database."""
    return new_host()


@pytest.fixture
def database_app(database: Database) -> Iterator[Flask]:
    """An app with dserver's tables and nothing else, whose context is entered."""
    with app_with_tables(database) as app, app.app_context():
        yield app
        sql_db.session.remove()
