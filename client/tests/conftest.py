"""A dserver behind a real HTTP server, on a store that verifies signatures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.tests.support.proxied_lab import ProxiedLab, proxied_lab
from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.databases import Database
from tests.support.dserver import Bucket, Dserver
from tests.support.http_server import serving
from tests.support.reference_only import ReferenceOnly


@pytest.fixture(scope="session")
def described() -> bool:
    """Let every dserver describe its routes: the client asks which there are."""
    return True


@pytest.fixture(scope="module")
def dserver_url(lab: Dserver) -> Iterator[str]:
    """Return the address of the dserver that the tests of one module share."""
    with serving(lab.app) as url:
        yield url


@pytest.fixture(scope="module")
def reference_url(lab: Dserver) -> Iterator[str]:
    """Return the address of the same dserver, where it has the reference's four routes only."""
    with serving(ReferenceOnly(lab.app)) as url:
        yield url


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings, tokens and state of this machine out of tests, and theirs out of it."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        directory = tmp_path / name.lower()
        directory.mkdir()
        monkeypatch.setenv(name, str(directory))
    for name in ("DSERVER_URL", "DSERVER_TOKEN", "DSERVER_USERNAME", "DSERVER_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_proxied_lab(
    store: LocalStore,
    jwt_settings: dict[str, Any],
    database: Database,
) -> Iterator[ProxiedLab]:
    """One dserver and one proxy for all tests, because making them takes long."""
    name = f"proxied-{database.name}"
    store.create_bucket(name)
    bucket = Bucket(name, store.endpoint, store.access_key, store.secret_key)
    url = database.create()
    with proxied_lab(bucket, {**jwt_settings, "SQLALCHEMY_DATABASE_URI": url}) as made:
        yield made
    database.drop(url)


@pytest.fixture
def proxied(shared_proxied_lab: ProxiedLab) -> ProxiedLab:
    """The same, with a proxy that forwards everything and has forgotten all requests."""
    shared_proxied_lab.proxy.heal()
    shared_proxied_lab.proxy.forget()
    return shared_proxied_lab
