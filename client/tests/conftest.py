"""A dserver behind a real HTTP server, on a store that verifies signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dserver_client.client import Client

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


@pytest.fixture
def connect() -> Iterator[Callable[[Dserver], Client]]:
    """Serve a dserver, and make a client for alice."""
    with ExitStack() as closing:

        def connect(dserver: Dserver) -> Client:
            url = closing.enter_context(serving(dserver.app))
            return closing.enter_context(Client(url, dserver.tokens["alice"]))

        yield connect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files, one of them empty, one in a directory, with a name beyond ASCII."""
    folder = tmp_path / "cress"
    (folder / "leaves").mkdir(parents=True)
    (folder / "heights.csv").write_text("plant,height\n1,12\n")
    (folder / "leaves" / "größe 1.txt").write_bytes(b"\x00\xff" * 1000)
    (folder / "empty.txt").write_bytes(b"")
    return folder


@pytest.fixture
def ten_files(tmp_path: Path) -> Path:
    folder = tmp_path / "ten"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.txt").write_text(f"number {number}\n")
    return folder


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file of three parts, each with other bytes."""
    large = tmp_path / "scan.tif"
    large.write_bytes(b"a" * 5 * 1024**2 + b"b" * 5 * 1024**2 + b"c" * 1024**2)
    return large


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
    jwt_tokens: dict[str, str],
    database: Database,
) -> Iterator[ProxiedLab]:
    """One dserver and one proxy for all tests, because making them takes long."""
    name = f"proxied-{database.name}"
    store.create_bucket(name)
    bucket = Bucket(name, store.endpoint, store.access_key, store.secret_key)
    url = database.create()
    settings = {**jwt_settings, "SQLALCHEMY_DATABASE_URI": url}
    with proxied_lab(bucket, settings, jwt_tokens) as made:
        yield made
    database.drop(url)


@pytest.fixture
def proxied(shared_proxied_lab: ProxiedLab) -> Iterator[ProxiedLab]:
    """The same, with a proxy that forwards everything and has forgotten all requests.

    It is healed after the test: datasets that the next module shares are deposited before its own.
    """
    shared_proxied_lab.proxy.forget()
    yield shared_proxied_lab
    shared_proxied_lab.proxy.heal()
