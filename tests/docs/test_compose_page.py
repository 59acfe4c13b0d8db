"""The page about Compose: its commands run as typed, with a `docker` that runs `flask` here."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest
import requests

from tests.support.clients import Deposit, DtoolDserver
from tests.support.compose_files import DOCKER, compose_file, made_env
from tests.support.doctor_reports import Guarded
from tests.support.documentation import code_blocks, text_of
from tests.support.dserver import in_capitals
from tests.support.http_server import at_public_address
from tests.support.in_process_flask import flask_shell

PAGE = "docs/compose.rst"
ENTRYPOINT = "/opt/dserver/docker/entrypoint.sh"
# Options of `docker compose run` and `exec`; True: a value follows.
OPTIONS = {"--rm": False, "-T": False, "--volume": True, "--user": True}
# A container has what the volumes bring, by the names that they have in it.
DOCKER_PROGRAM = """#!{python}
import json, os, sys
entrypoints, options = json.loads({services!r}), json.loads({options!r})
compose, action, *rest = sys.argv[1:]
assert compose == "compose"
if action in ("up", "ps"):
    sys.exit()
assert action in ("exec", "run"), action
volumes = {{}}
while rest[0].startswith("-"):
    option = rest.pop(0)
    value = rest.pop(0) if options[option] else None
    if option == "--volume":
        outside, inside, rights = value.split(":")
        assert os.path.exists(outside), outside
        assert rights == "ro", rights
        volumes[inside] = outside
service, *command = rest
command = [volumes.get(word, word) for word in command]
if action == "run":
    command = entrypoints[service] + command
os.execvp(command[0], command)
"""


@pytest.fixture
def served(make_dserver, bucket, tempstore, tmp_path, monkeypatch):
    """A dserver at its public address; the working directory is a checkout with some files."""
    (tmp_path / "docker").mkdir()
    shutil.copy(DOCKER / "make-env.sh", tmp_path / "docker")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "one.csv").write_text("day,height\n1,3\n")
    (tmp_path / "temporary_file.txt").write_text("for ten minutes")
    monkeypatch.chdir(tmp_path)
    buckets = {**tempstore.settings(), **Guarded.of(bucket).more}
    with at_public_address(make_dserver, **in_capitals(buckets)) as (dserver, _):
        yield dserver


@pytest.fixture
def run(served, tempstore, tmp_path_factory):
    """Run a block of the page; return what it prints."""
    programs = tmp_path_factory.mktemp("bin")
    services = compose_file(made_env(tmp_path_factory.mktemp("env") / ".env"))["services"]
    entrypoints = {
        name: service["entrypoint"][1:]
        for name, service in services.items()
        if service.get("entrypoint", [""])[0] == ENTRYPOINT
    }
    docker = programs / "docker"
    docker.write_text(
        DOCKER_PROGRAM.format(
            python=sys.executable, services=json.dumps(entrypoints), options=json.dumps(OPTIONS)
        )
    )
    docker.chmod(0o755)
    with flask_shell(served.app, programs) as shell:
        # What the service store-setup does.
        shell(
            f"flask base_uri add {tempstore.base_uri}\n"
            f"flask lifecycle set {tempstore.base_uri} --days 7\n"
        )

        def run_block(block):
            for shown, real in {
                "s3://dtool": served.base_uri, "s3://tempstore": tempstore.base_uri,
                "alice": "ada",
            }.items():  # fmt: skip
                block = block.replace(shown, real)
            return shell(block)

        yield run_block


def test_the_commands_of_the_page_do_what_both_recipes_say(served, run, tempstore, tmp_path):
    blocks = code_blocks("bash", PAGE)
    assert text_of(PAGE).count("docker compose exec") >= 5
    deposit = Deposit({"one.csv": b"1"})
    assert DtoolDserver().begin(served.alice, served.base_uri, deposit)["uuid"] == deposit.uuid
    [start, access, uploads, shares] = [run(block) for block in blocks]
    assert ".env is made." in start
    assert "Fit for uploading: yes" in access
    assert deposit.uuid in uploads
    links = re.findall(r"http\S+/signed-urls/s/\S+", shares)
    lists = [requests.get(f"{link}?format=md5sum", timeout=30).text for link in links]
    names = [text.splitlines()[-1].split("  ")[1] for text in lists]
    assert names == ["temporary_file.txt", "results/one.csv", "results.csv"]
