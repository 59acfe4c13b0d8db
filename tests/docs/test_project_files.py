"""Files that GitHub, pre-commit and maintainers read: valid, and in step with the project."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import dserver_sql_index
import pytest
import yaml

from dserver_signed_url_plugin import __version__
from tests.support.documentation import ROOT, text_of

SCHEMAS = {
    "citation-file-format": ["CITATION.cff"],
    "dependabot": [".github/dependabot.yml"],
    "github-workflows": [".github/workflows/test.yml"],
    "github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/feature.yml"],
}
DISTRIBUTIONS = {"dserver-signed-url-plugin", "dserver-client", "dserver-sql-index"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_has_the_fields_that_its_reader_knows(name):
    command = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [command, "--builtin-schema", f"vendor.{name}", *SCHEMAS[name]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_citation_names_this_version():
    assert yaml.safe_load(text_of("CITATION.cff"))["version"] == __version__


@pytest.mark.parametrize("distribution", ["client", "index"])
def test_every_distribution_has_the_licence_of_the_package(distribution):
    assert text_of(f"{distribution}/LICENSE") == text_of("LICENSE")


def test_the_index_has_the_version_of_the_package():
    assert dserver_sql_index.__version__ == __version__


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_no_distribution_requires_another_of_the_repository(name):
    """They are in no package index, where anybody could publish something by their names."""
    required = set(re.findall(r"(?m)^[\w.-]+", "\n".join(distribution(name).requires or ())))
    assert required
    assert required.isdisjoint(DISTRIBUTIONS - {name})


def test_pre_commit_runs_the_commands_of_make_lint():
    hooks = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    [recipe] = re.findall(r"(?m)^lint:.*\n((?:\t.*\n)+)", text_of("Makefile"))
    commands = [line.strip().replace("$(VENV)", ".venv") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in hooks] == commands


def test_continuous_integration_runs_every_check_of_the_makefile():
    steps = re.findall(r"(?m)^(?: +- run: |    )?make (\S+)", text_of(".ci/run"))
    jobs = yaml.safe_load(text_of(".github/workflows/test.yml"))["jobs"].values()
    runs = {step["run"].split()[1] for job in jobs for step in job["steps"] if "run" in step}
    assert set(steps) >= {"test", "test-ceph", "lint", "docs"}
    assert runs >= {"test", "test-next", "test-ceph", "lint", "docs", "demo"}
