"""Files to be shared from a bucket or an account, which can be hindered at taking them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
