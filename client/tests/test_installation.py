"""`pip install ./client`: a wheel, an environment with nothing else in it, and the command."""

from __future__ import annotations

import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support import wheels

CLIENT = Path(__file__).parents[1]

# What an extra brings is imported by these.
IMPORTS = """
import importlib, pkgutil, sys
import dserver_client
assert dserver_client.__file__.startswith(sys.prefix), dserver_client.__file__
for module in pkgutil.walk_packages(dserver_client.__path__, "dserver_client."):
    if module.name not in {"dserver_client.filesystem"}:
        importlib.import_module(module.name)
"""
INSTALLED = """
from importlib.metadata import distributions
print(*(distribution.name.lower() for distribution in distributions()))
"""
SLOW = {"boto3", "dtoolcore", "fsspec", "keyring", "pathspec", "requests", "tqdm"}
LOADED = """
import sys
from dserver_client.cli import main
try:
    main(["--help"])
except SystemExit:
    print("modules:", *{name.partition(".")[0] for name in sys.modules})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(CLIENT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> wheels.Environment:
    """An environment in which only the wheel has been installed."""
    made = wheels.Environment(tmp_path_factory.mktemp("empty"))
    made.install(wheel)
    return made


def test_the_wheel_holds_the_client_its_licence_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"dserver_client"}
    modules = {name for name in names if name.endswith(".py")}
    source = {str(path.relative_to(CLIENT).as_posix()) for path in CLIENT.rglob("*.py")}
    assert modules == {name for name in source if name.startswith("dserver_client/")}
    assert "dserver_client/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_offers_the_command_and_dtools_and_fsspecs_interfaces(wheel):
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
    points = ConfigParser()
    points.read_string(archive.read(name).decode())
    assert points["console_scripts"]["dserver"] == "dserver_client.cli:main"
    for interface in ("fsspec.specs", "dtool.storage_brokers"):
        assert [each for each in points[interface] if "dserver" in each.lower()]


def test_it_is_installed_without_a_server_and_every_module_can_be_imported(environment):
    installed = set(environment.run("python", "-c", INSTALLED).split())
    assert {"dserver-client", "dtoolcore", "urllib3"} <= installed
    assert installed & {"flask", "dservercore", "boto3", "requests", "sqlalchemy"} == set()
    environment.run("python", "-c", IMPORTS)
    assert "login" in environment.run("dserver", "--help")


def test_help_is_shown_without_importing_what_takes_long(environment):
    *_, modules = environment.run("python", "-c", LOADED).splitlines()
    assert SLOW & set(modules.split()) == set()
