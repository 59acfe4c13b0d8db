"""What every test may ask for: a store that verifies signatures, a bucket of its own, a dserver."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import botocore.session
import hypothesis
import pytest
from dservercore import sql_db
from flask import Flask
from flask_jwt_extended import JWTManager

from dserver_signed_url_plugin.demo.app import tokens
from dserver_signed_url_plugin.demo.azurite import AzuriteMissing, LocalAzure
from dserver_signed_url_plugin.demo.settings import DataDirectory
from dserver_signed_url_plugin.demo.store import LocalStore, s3_client
from tests.support import postgresql_server
from tests.support.blob_client import blob_service
from tests.support.databases import Database, PostgreSQLDatabases, SQLite
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.postgresql_server import PostgreSQL

pytest_plugins = [
    "tests.support.browser",
    "tests.support.dserver_fixtures",
    "tests.support.environment_fixtures",
    "tests.support.store_fixtures",
]

DATABASES = ("sqlite", "postgresql")
ACCOUNTS = 1_000

_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--database` choose one."""
    parser.addoption("--database", choices=DATABASES, help="run tests on this database only")


def pytest_configure() -> None:
    """Let SIGINT do what it usually does, to the children of tests too.

    Who starts us in the background (``make test &``, nohup, some CI) may have it ignored, and
    processes inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long one example takes says more of the machine than of the code.
    hypothesis.settings.register_profile(
        "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("any machine")
    # Reading the description of S3 is most of the work of dtool, which does it for every URI.
    botocore.session.create_loader = cache(botocore.session.create_loader)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported, which is most of what it would look at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that needs a database on SQLite, or on those that its marker names."""
    if "database" not in metafunc.fixturenames:
        return
    wanted = metafunc.config.getoption("database")
    marker = metafunc.definition.get_closest_marker("database")
    named = DATABASES[:1] if marker is None else marker.args
    names = [name for name in named if wanted in (None, name)]
    skipped = pytest.mark.skip(reason=f"it is tested on {' and '.join(named)}")
    chosen = names or [pytest.param(named[0], marks=skipped)]
    metafunc.parametrize("database", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def store() -> Iterator[LocalStore]:
    """One S3 store for all tests, with AUTH=true: it verifies signature, expiry and Content-MD5."""
    with LocalStore() as running:
        yield running


@pytest.fixture(scope="session")
def azure_store() -> Iterator[LocalAzure]:
    """One Azure store for all tests: it verifies signature, permission and expiry."""
    try:
        store = LocalAzure([f"lab{number}" for number in range(ACCOUNTS)])
    except AzuriteMissing as reason:
        if "REQUIRE_AZURITE" in os.environ:
            raise
        pytest.skip(str(reason))
    with store as running:
        yield running


@pytest.fixture(scope="session")
def unused_accounts(azure_store: LocalAzure) -> Iterator[str]:
    """Names of accounts that no test has had; Azurite knows each from its start."""
    return iter(azure_store.accounts)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One PostgreSQL server for all tests."""
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Where a test gets databases of its own: SQLite, and PostgreSQL in another run of the test."""
    if request.param == "postgresql":
        return PostgreSQLDatabases(request.getfixturevalue("postgresql"))
    return SQLite(tmp_path_factory.mktemp("databases"))


@pytest.fixture
def bucket(store: LocalStore) -> Bucket:
    """A bucket that no other test knows."""
    name = f"lab-{next(_numbers)}"
    store.create_bucket(name)
    return Bucket(name, store.endpoint, store.access_key, store.secret_key)


@pytest.fixture
def s3(bucket: Bucket) -> Any:
    """A client with the keys of the bucket, to look behind the scenes."""
    return s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key)


@pytest.fixture
def account(azure_store: LocalAzure, unused_accounts: Iterator[str]) -> Account:
    """An account that no other test knows."""
    name = next(unused_accounts)
    return Account(name, azure_store.endpoint(name), azure_store.key)


@pytest.fixture
def blobs(account: Account) -> Any:
    """A client with the key of the account, to look behind the scenes."""
    return blob_service(account)


@pytest.fixture(scope="session")
def jwt_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings with one key pair for all tests, because making one takes long."""
    return DataDirectory.create(tmp_path_factory.mktemp("keys")).write_settings()


@pytest.fixture(scope="session")
def jwt_tokens(jwt_settings: dict[str, Any]) -> dict[str, str]:
    """A token for each person, signed once: each signature loads the key anew."""
    app = Flask(__name__)
    app.config.update(jwt_settings)
    JWTManager(app)
    return tokens(app, timedelta(hours=12))


@pytest.fixture(scope="session")
def described() -> bool:
    """Return whether each dserver of a test describes its routes, as that of a module does."""
    return False


@pytest.fixture
def make_dserver_on(
    database: Database,
    jwt_settings: dict[str, Any],
    jwt_tokens: dict[str, str],
    described: bool,
) -> Iterator[Callable[..., Dserver]]:
    """Make a dserver on a bucket or an account, with some of Flask's config changed."""
    made: list[tuple[Dserver, str]] = []

    def make(place: Bucket | Account, **config: Any) -> Dserver:
        url = database.create_for(place.base_uri)
        settings = {**jwt_settings, "SQLALCHEMY_DATABASE_URI": url, **config}
        prepared = settings["SQLALCHEMY_DATABASE_URI"] == url
        dserver = Dserver(place, settings, jwt_tokens, described=described, prepared=prepared)
        made.append((dserver, url))
        return dserver

    yield make
    for dserver, url in made:
        with dserver.app.app_context():
            sql_db.engine.dispose()
        database.drop(url)


@pytest.fixture
def make_dserver(make_dserver_on: Callable[..., Dserver], bucket: Bucket) -> Callable[..., Dserver]:
    """Make a dserver on the bucket, with some of Flask's config changed."""
    return partial(make_dserver_on, bucket)


@pytest.fixture
def make_azure_dserver(
    make_dserver_on: Callable[..., Dserver], account: Account
) -> Callable[..., Dserver]:
    """Make a dserver on the account, with some of Flask's config changed."""
    return partial(make_dserver_on, account)


@pytest.fixture
def dserver(make_dserver: Callable[..., Dserver]) -> Dserver:
    """A dserver as it comes."""
    return make_dserver()


@pytest.fixture
def azure_dserver(make_azure_dserver: Callable[..., Dserver]) -> Dserver:
    """A dserver as it comes, with its datasets in Azure."""
    return make_azure_dserver()


@pytest.fixture
def dtool_reads(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let dtool itself read the bucket directly, as a person with credentials would."""
    for name, value in bucket.settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DTOOL_CACHE_DIRECTORY", str(tmp_path / "dtool-cache"))
