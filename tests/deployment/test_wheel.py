"""`pip install .`, and what the Dockerfile installs: a wheel, an empty environment, a dserver."""

from __future__ import annotations

import os
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import wheels
from tests.support.compose_container import DOCKER, ROOT

STARTS = """
import sys
import dserver_signed_url_plugin
from dserver_signed_url_plugin.demo.app import create_app
assert dserver_signed_url_plugin.__file__.startswith(sys.prefix), dserver_signed_url_plugin.__file__
app = create_app({"SQLALCHEMY_DATABASE_URI": "sqlite://"})
assert "/signed-urls/upload-complete" in {rule.rule for rule in app.url_map.iter_rules()}
"""
# dserver itself would start here, if there were a MongoDB.
FINDS_THE_PUBLIC_PLUGINS = """
from importlib.metadata import entry_points
for group in ("dservercore.search", "dservercore.retrieve", "dservercore.extension"):
    [plugin] = entry_points(group=group)
    assert plugin.load()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """Run a program of an empty environment, away from the source tree; return what it said."""
    directory = tmp_path_factory.mktemp("empty")
    venv.create(directory / "venv", with_pip=True)
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    environment = {
        **inherited,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_USE_PEP517": "1",
        # Python compiles what it imports, which is a small part.
        "PIP_NO_COMPILE": "1",
    }

    def act(program: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [directory / "venv" / "bin" / program, *arguments],
            cwd=directory, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return act


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as the Dockerfile builds it."""
    return wheels.build(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_with_its_migrations_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"dserver_signed_url_plugin"}
    migrations = [name for name in names if "/migrations/versions/" in name]
    source = ROOT / "dserver_signed_url_plugin" / "migrations" / "versions"
    assert len(migrations) == len(list(source.glob("*.py")))
    assert "dserver_signed_url_plugin/py.typed" in names


def test_a_plain_installation_starts_and_so_does_the_images(wheel, run):
    run("pip", "install", "--quiet", wheel)
    run("python", "-c", STARTS)
    assert "cleanup" in run("flask", "--app", "dservercore", "pending_upload", "--help")

    run("pip", "install", "--quiet", "--requirement", DOCKER / "requirements.txt")
    run("pip", "check")
    run("python", "-c", STARTS + FINDS_THE_PUBLIC_PLUGINS)
    run("gunicorn", "--version")
