"""A dserver on a real port, and an environment in which `flask` finds one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.dserver import Account, Bucket, Dserver, in_capitals
from tests.support.http_server import serving


@pytest.fixture
def address(dserver: Dserver) -> Iterator[str]:
    """The dserver of the test, behind a real port."""
    with serving(dserver.app) as url:
        yield url


@pytest.fixture
def tempstore(store: LocalStore, bucket: Bucket) -> Bucket:
    """A bucket that dserver has keys for, and does not know yet."""
    name = f"{bucket.name}-tempstore"
    store.create_bucket(name)
    return Bucket(name, store.endpoint, store.access_key, store.secret_key)


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
