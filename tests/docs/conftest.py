"""A dserver on a real port, and an environment in which `flask` finds one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.support.dserver import Account, Bucket, Dserver, in_capitals


@pytest.fixture
def address(dserver: Dserver) -> Iterator[str]:
    """The dserver of the test, behind a real port."""
    server = make_server("127.0.0.1", 0, dserver.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def flask_on(
    tmp_path: Path, jwt_settings: dict[str, Any]
) -> Callable[[Bucket | Account], dict[str, str]]:
    """Make the environment in which `flask` finds a dserver without tables."""

    def environment(place: Bucket | Account) -> dict[str, str]:
        settings = tmp_path / "settings.json"
        database = f"sqlite:///{tmp_path / 'dserver.sqlite'}"
        config = {**jwt_settings, **in_capitals(place.settings())}
        settings.write_text(json.dumps({**config, "SQLALCHEMY_DATABASE_URI": database}))
        return {
            "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
            "DSERVER_DEMO_SETTINGS": str(settings),
        }

    return environment


@pytest.fixture
def flask(flask_on: Callable[[Bucket | Account], dict[str, str]], bucket: Bucket) -> dict[str, str]:
    """The environment in which `flask` finds a dserver without tables, on a bucket."""
    return flask_on(bucket)
