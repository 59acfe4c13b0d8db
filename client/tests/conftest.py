"""A dserver behind a real HTTP server, on a store that verifies signatures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dserver import Dserver
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
