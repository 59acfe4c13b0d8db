"""`pip install .`, and what the Dockerfile installs: a wheel, an empty environment, a dserver."""

from __future__ import annotations

import json
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

from tests.support import linked_packages, wheels
from tests.support.compose_files import DOCKER, ROOT

STARTS = """
import sys
import dserver_signed_url_plugin
from dserver_signed_url_plugin.demo.app import create_app
assert dserver_signed_url_plugin.__file__.startswith(sys.prefix), dserver_signed_url_plugin.__file__
app = create_app({"SQLALCHEMY_DATABASE_URI": "sqlite://"})
assert "/signed-urls/upload-complete" in {rule.rule for rule in app.url_map.iter_rules()}
"""
SAYS_WHAT_THE_DEMO_NEEDS = """
from click.testing import CliRunner
from dserver_signed_url_plugin.demo.command import main
print(CliRunner().invoke(main).output)
"""
# dserver itself would start here, if there were a MongoDB.
FINDS_THE_MONGO_PLUGINS = """
from importlib.metadata import entry_points
for group in ("dservercore.search", "dservercore.retrieve", "dservercore.extension"):
    [plugin] = entry_points(group=group)
    assert plugin.load()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as the Dockerfile builds it."""
    return wheels.build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the index, without which dserver does not start."""
    return wheels.build(ROOT / "index", tmp_path_factory.mktemp("index"))


def test_the_wheel_holds_the_package_with_its_migrations_and_templates_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"dserver_signed_url_plugin"}
    migrations = [name for name in names if "/migrations/versions/" in name]
    source = ROOT / "dserver_signed_url_plugin" / "migrations" / "versions"
    assert len(migrations) == len(list(source.glob("*.py")))
    assert "dserver_signed_url_plugin/py.typed" in names
    templates = (ROOT / "dserver_signed_url_plugin" / "web" / "templates").rglob("*.*")
    assert {str(path.relative_to(ROOT)) for path in templates} <= set(names)


def test_it_starts_with_nothing_but_what_it_requires_and_an_index(wheel, index, tmp_path):
    for each in (wheel, index):
        with zipfile.ZipFile(each) as archive:
            archive.extractall(tmp_path)
    [metadata] = tmp_path.glob("dserver_signed_url_plugin-*.dist-info")
    required = linked_packages.requirements(Distribution.at(metadata).requires)
    linked_packages.link(required, tmp_path)

    def python(program: str, *arguments: str) -> str:
        # Without -S, every package of this environment would be found.
        path = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.prefix = sys.path[0]\n"
        return wheels.run([sys.executable, "-S", "-c", path + program, *arguments], tmp_path)

    command = "from flask.cli import main; main()"
    assert "cleanup" in python(command, "--app", "dservercore", "pending_upload", "--help")
    needs = python(STARTS + SAYS_WHAT_THE_DEMO_NEEDS)
    assert "ministack" in needs
    assert "pip install ./index '.[demo]'" in needs


def test_what_is_pinned_for_the_image_fits_together_and_starts(wheel, index, tmp_path):
    environment, pins = wheels.Environment(tmp_path), DOCKER / "requirements-sql.txt"
    linked_packages.copy_pinned(pins.read_text(), environment.site, besides="gunicorn")
    environment.install("--require-hashes", "--requirement", pins)
    environment.install("--no-deps", wheel, index)
    environment.run("python", "-c", STARTS)
    environment.run("gunicorn", "--version")

    # INDEX=mongo: most packages are the same, and installing them again would take long.
    environment.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "dserver-sql-index")
    environment.install("--require-hashes", "--requirement", DOCKER / "requirements-mongo.txt")
    environment.run("python", "-c", FINDS_THE_MONGO_PLUGINS)


def test_the_extra_azure_fits_beside_adlfs_and_the_current_sdk_of_azure(wheel, tmp_path):
    """Nothing that dserver needs is replaced, and pip finds no conflict."""
    environment, report = wheels.Environment(tmp_path), tmp_path / "report.json"
    required = linked_packages.requirements(distribution("dserver-signed-url-plugin").requires)
    linked_packages.link([*required, "azure-identity"], environment.site)
    wanted = ["adlfs", "azure-storage-blob>=12", f"{wheel}[azure]"]
    # A dry run, because through a link pip would write into this environment.
    install = ("-m", "pip", "install", "--dry-run", "--quiet", "--report", report)
    environment.run("python", *install, *wanted)
    installed = {each["metadata"]["name"] for each in json.loads(report.read_text())["install"]}
    assert {"adlfs", "azure-storage-blob", "dserver-signed-url-plugin"} <= installed
    # `make test-next` has newer versions of these than the released dservercore requires.
    dserver_needs = linked_packages.requirements(distribution("dservercore").requires)
    kept = {*required, "azure-identity"}.difference(dserver_needs)
    assert not installed & {*kept, "dtool-azure", "azure-storage-common"}
