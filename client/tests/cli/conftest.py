"""The command against a dserver that is served, as one of its people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dserver_client.cli import main

from dserver_signed_url_plugin.demo.store import LocalStore
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import Database
from tests.support.dserver import Bucket, Dserver
from tests.support.dserver_fixtures import dserver_on
from tests.support.http_server import serving

FILES = {"a.csv": b"day,mm\n1,2\n", "images/größe 1.raw": b"\x00\x01", "empty.txt": b""}


@pytest.fixture(scope="package")
def lab(store: LocalStore, jwt_settings: dict[str, Any], database: Database) -> Iterator[Dserver]:
    """One dserver for the tests of all commands."""
    name = f"commands-{database.name}"
    store.create_bucket(name)
    bucket = Bucket(name, store.endpoint, store.access_key, store.secret_key)
    yield from dserver_on(bucket, jwt_settings, database, described=True)


@pytest.fixture(scope="package")
def dserver_url(lab: Dserver) -> Iterator[str]:
    """Its address."""
    with serving(lab.app) as url:
        yield url


@pytest.fixture
def run(dserver_url: str, lab: Dserver) -> Callable[..., Result]:
    """Run the command in this process; `person` has a token in the environment."""

    def act(*words: object, person: str | None = "alice", **options: Any) -> Result:
        environment = {"DSERVER_URL": dserver_url}
        if person is not None:
            environment["DSERVER_TOKEN"] = lab.tokens[person]
        environment |= options.pop("env", {})
        return CliRunner().invoke(main, [str(word) for word in words], env=environment, **options)

    return act


@pytest.fixture
def document(run: Callable[..., Result]) -> Callable[..., Any]:
    """Run the command with --json; return what it prints, after it has succeeded."""

    def act(*words: object, code: int = 0, **options: Any) -> Any:
        done = run(*words, "--json", **options)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return act


@pytest.fixture(scope="package")
def deposit(lab: Dserver) -> Deposit:
    """A registered dataset."""
    deposit = Deposit(
        FILES,
        name="growth-of-cress",
        readme="---\ndescription: Cress at 22 °C\n",
        more={"tags": ["cress"], "annotations": {"project": "growth"}},
    )
    assert DtoolDserver().upload(lab.alice, lab.base_uri, deposit).status_code == 200
    return deposit


@pytest.fixture
def uri(deposit: Deposit, lab: Dserver) -> str:
    """The URI of the registered dataset."""
    return f"{lab.base_uri}/{deposit.uuid}"
