"""Compose files together: the tests' way to merge them, and what overrides make of the base."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.compose_files import (
    DOCKER,
    ROOT,
    compose_file,
    environment,
    fill_in,
    made_env,
)

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


def docker_compose() -> list[str] | None:
    """Return the command of Docker Compose 2 or newer, if there is one; it needs no engine here."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run(
                [*command, "version", "--short"], capture_output=True, text=True, check=False
            ).stdout
            if version.lstrip("v")[:1] not in ("", "1"):
                return command
    return None


STORE, MONGO, TLS, METRICS = (f"docker/{name}.yml" for name in ("store", "mongo", "tls", "metrics"))


@pytest.mark.parametrize(
    "files",
    [[], [STORE], [MONGO], [STORE, MONGO], [STORE, MONGO, METRICS, TLS]],
    ids=lambda files: "+".join(Path(file).stem for file in files) or "base",
)
def test_docker_compose_merges_the_files_as_these_tests_do(tmp_path, files):
    command = docker_compose()
    if command is None:
        pytest.skip("Docker Compose is not installed")
    path, files = tmp_path / ".env", [BASE, *files]
    variables = made_env(path) | {
        "INDEX": "mongo" if MONGO in files else "", "DSERVER_HOST": "d.org", "STORE_HOST": "s.org",
    }  # fmt: skip
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    named = [part for file in files for part in ("--file", ROOT / file)]
    options = ["--project-directory", ROOT, "--env-file", path, "--profile", "tools"]
    done = subprocess.run(
        [*command, *named, *options, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)["services"]
    ours = compose_file(variables, files)["services"]
    assert theirs.keys() == ours.keys()
    for name, service in ours.items():
        found = theirs[name]
        assert found["image"] == service["image"], name
        assert ("build" in found) == ("build" in service), name
        values = {key: value or "" for key, value in (found.get("environment") or {}).items()}
        assert values == environment(service), name
        assert set(found.get("depends_on", {})) - {"store", "front"} == set(
            service.get("depends_on", {})
        ) - {"store", "front"}, name
        assert set(found.get("networks", {})) == set(service.get("networks", [])), name
        assert len(found.get("volumes", [])) == len(service.get("volumes", [])), name
        assert len(found.get("ports", [])) == len(service.get("ports", [])), name


@pytest.mark.skipif(shutil.which("node") is None, reason="the script is for MongoDB's shell")
@pytest.mark.parametrize(
    ("users", "made"),
    [
        # A new volume, and one of version 0.1.0.
        ({"admin": ["root"]}, ["dserver"]),
        ({"admin": ["dserver"]}, ["dserver", "admin"]),
        ({"admin": ["dserver", "root"], "dserver": ["dserver"]}, []),
    ],
)
def test_mongodbs_user_reads_and_writes_one_database(users, made):
    script = (DOCKER / "mongo" / "dserver-user.js").read_text()
    shell = (
        f"const users = {json.dumps(users)}, made = [];\n"
        "const db = {getSiblingDB: name => ({createUser: user => made.push({name, ...user}), "
        "getUser: user => (users[name] || []).includes(user) ? {user} : null})};\n"
    )
    done = subprocess.run(
        ["node", "--eval", f"{shell}{script}\nconsole.log(JSON.stringify(made));"],
        env={
            "PATH": "/usr/bin:/usr/local/bin",
            "MONGO_PASSWORD": "p",
            "MONGO_INITDB_ROOT_PASSWORD": "r",
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = {
        "dserver": {
            "name": "dserver",
            "user": "dserver",
            "pwd": "p",
            "roles": [{"role": "readWrite", "db": "dserver"}],
        },
        "admin": {"name": "admin", "user": "root", "pwd": "r", "roles": ["root"]},
    }
    assert json.loads(done.stdout) == [expected[name] for name in made]
