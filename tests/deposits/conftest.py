"""Files to be shared from a bucket or an account, which can be hindered at taking them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.proxy import StoreProxy
from tests.support.shared_files import FILES


@pytest.fixture
def proxy(place_proxy: StoreProxy) -> StoreProxy:
    """What people, and the operator, send to the store."""
    return place_proxy


@pytest.fixture
def dserver(
    make_dserver_on: Callable[..., Dserver], place: Bucket | Account, proxy: StoreProxy
) -> Dserver:
    """A dserver whose people, and whose operator, reach the store through the proxy."""
    return make_dserver_on(place, **proxy.public_settings())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is to be shared."""
    place = tmp_path / "results"
    place.mkdir()
    for name, content in FILES.items():
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def share(dserver: Dserver, folder: Path) -> Callable[[], Result]:
    """Run the command in this process; return its result."""

    def act() -> Result:
        command = ["create", dserver.base_uri, str(folder), "--json"]
        return dserver.app.test_cli_runner().invoke(temp_share, command)

    return act


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[Any]]]:
    """Start the command as a process of its own."""
    settings, started = tmp_path / "settings.json", []

    def act(dserver: Dserver, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        config = dserver.app.config
        names = (
            "SQLALCHEMY_DATABASE_URI",
            "SECRET_KEY",
            "JWT_ALGORITHM",
            "JWT_PUBLIC_KEY",
            "SIGNED_URL_PART_BYTES",
        )
        kept = {name: value for name, value in config.items() if name.startswith("DTOOL_")}
        kept |= {name: config[name] for name in names if name in config}
        settings.write_text(json.dumps(kept))
        environ = {
            **os.environ,
            "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
            "DSERVER_DEMO_SETTINGS": str(settings),
        }
        command = ["-m", "flask", "temp_share", "create", dserver.base_uri, *arguments, "--json"]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        started.append(subprocess.Popen([sys.executable, *command], env=environ, **options))
        return started[-1]

    yield act
    for process in started:
        process.kill()
        process.communicate()
