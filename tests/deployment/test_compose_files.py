"""Compose files together: the tests' way to merge them, and what overrides make of the base."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.support.compose_files import DOCKER, compose_file, environment, fill_in

BASE = "docker-compose.yml"


def test_variables_are_filled_in_as_compose_does():
    address = "${URL:-http${HOST:+s}://${HOST:-localhost:${PORT:-5000}}}"
    assert fill_in(address, {}) == "http://localhost:5000"
    assert fill_in(address, {"HOST": "a.org"}) == "https://a.org"
    assert fill_in(address, {"HOST": "a.org", "URL": "http://b"}) == "http://b"
    assert fill_in("${A-x}${B-y} $${A}", {"A": ""}) == "y ${A}"


def test_an_override_adds_to_lists_and_replaces_variables_by_name():
    alone = compose_file(files=[BASE])["services"]
    merged = compose_file(files=[BASE, "docker/store.yml", "docker/tls.yml"])["services"]
    assert merged["front"]["ports"][: len(alone["front"]["ports"])] == alone["front"]["ports"]
    assert merged["front"]["ports"][-2:] == ["80:8080", "443:8443"]
    assert environment(alone["cleanup"])["EPHEMERAL_BASE_URIS"] == "${EPHEMERAL_BASE_URIS:-}"
    assert "tempstore" in environment(merged["cleanup"])["EPHEMERAL_BASE_URIS"]
    assert merged["dserver"]["depends_on"].keys() > alone["dserver"]["depends_on"].keys()


def test_without_a_store_nothing_of_one_is_left():
    services = compose_file(files=[BASE])["services"]
    assert services.keys() == {
        "dserver", "front", "keys", "migrate", "cleanup", "flask", "doctor", "postgres",
    }  # fmt: skip
    assert "S3_" not in json.dumps(services)


@pytest.mark.skipif(shutil.which("node") is None, reason="the script is for MongoDB's shell")
def test_mongodbs_user_reads_and_writes_one_database():
    script = (DOCKER / "mongo" / "dserver-user.js").read_text()
    shell = (
        "const db = {getSiblingDB: name => ({createUser: user => "
        "console.log(JSON.stringify({name, ...user}))})};\n"
    )
    made = subprocess.run(
        ["node", "--eval", shell + script],
        env={"PATH": "/usr/bin:/usr/local/bin", "MONGO_PASSWORD": "p"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(made.stdout) == {
        "name": "dserver",
        "user": "dserver",
        "pwd": "p",
        "roles": [{"role": "readWrite", "db": "dserver"}],
    }
