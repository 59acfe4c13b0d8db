"""dtool on a dserver: in this process, and as commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.tests.broker import dtool_commands
from client.tests.broker.dtool_commands import Dtool
from tests.support.dserver import Dserver


@pytest.fixture(scope="module")
def base_uri(lab: Dserver, dserver_url: str) -> str:
    """Return where alice may deposit datasets."""
    return f"dserver://{dserver_url.partition('://')[2]}/s3/{lab.bucket.name}"


@pytest.fixture
def as_alice(lab: Dserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process alice's token."""
    monkeypatch.setenv("DSERVER_TOKEN", lab.tokens["alice"])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with dtool's commands and the client, as on a laptop."""
    site = tmp_path_factory.mktemp("dtool") / "site-packages"
    site.mkdir()
    dtool_commands.install(site)
    return site


@pytest.fixture(scope="module")
def dtool(site: Path, lab: Dserver, tmp_path_factory: pytest.TempPathFactory) -> Dtool:
    """Return dtool's commands, given by alice."""
    return Dtool(site, tmp_path_factory.mktemp("home"), lab.tokens["alice"])
