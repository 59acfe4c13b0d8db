"""A command whose output cannot be written ends with a sentence and 1, whatever the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import Deposit, DtoolDserver

SENTENCE = "Standard output cannot be written ({}); what the command has changed stays changed."
FULL = Path("/dev/full")
UMLAUT = "Übersicht 漢.txt"
needs_full = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is of Linux")


@pytest.fixture(scope="module")
def run(lab, tmp_path_factory):
    """Run a command as a process of its own; return it, with its remarks."""
    settings = tmp_path_factory.mktemp("settings") / "settings.json"
    config = lab.app.config
    names = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")
    kept = {name: value for name, value in config.items() if name.startswith("DTOOL_")}
    settings.write_text(json.dumps({**kept, **{name: config[name] for name in names}}))

    def act(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
        environ = {
            **os.environ,
            "FLASK_APP": "dserver_signed_url_plugin.demo.app:create_app_from_environment",
            "DSERVER_DEMO_SETTINGS": str(settings),
            **environment,
        }
        return subprocess.run(
            [Path(sys.executable).with_name(command[0]), *command[1:]],
            env=environ,
            stdout=stdout,
            stderr=stderr,
            timeout=120,
            check=False,
        )

    return act


@pytest.fixture(scope="module")
def uri(lab):
    """A dataset with an item that a terminal may not be able to name."""
    deposit = Deposit({UMLAUT: b"1"})
    assert DtoolDserver().upload(lab.alice, lab.base_uri, deposit).status_code == 200
    return f"{lab.base_uri}/{deposit.uuid}"


@needs_full
@pytest.mark.parametrize(
    "command",
    [
        ("flask", "pending_upload", "list", "--json"),
        ("flask", "signed_url", "audit"),
        ("flask", "lifecycle", "show", "{base_uri}"),
        ("flask", "lifecycle", "--help"),
        ("flask", "temp_share", "url", "{uri}"),
        ("dserver-signed-url-demo", "serve", "--help"),
    ],
    ids=lambda command: " ".join(command[1:3]),
)
def test_a_full_disk_is_told(run, lab, uri, command):
    typed = [each.format(base_uri=lab.base_uri, uri=uri) for each in command]
    with FULL.open("wb") as full:
        done = run(*typed, stdout=full)
    assert done.returncode == 1
    sentence = SENTENCE.format("No space left on device")
    assert done.stderr.decode().splitlines()[-1] == f"Error: {sentence}"
    for word in ("Traceback", "Exception ignored"):
        assert word not in done.stderr.decode()


def test_a_closed_pipe_is_told(run, uri):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = run("flask", "temp_share", "url", uri, stdout=closed)
    assert (done.returncode, "Traceback" in done.stderr.decode()) == (1, False)
    assert done.stderr.decode().endswith(f"Error: {SENTENCE.format('Broken pipe')}\n")


@needs_full
def test_remarks_that_cannot_be_written_change_no_exit_code(run, lab, uri):
    with FULL.open("wb") as full:
        done = run("flask", "temp_share", "url", uri, "--json", stderr=full)
        refused = run("flask", "temp_share", "url", uri, "--expires", "0", stderr=full)
    assert (done.returncode, json.loads(done.stdout)["uri"]) == (0, uri)
    assert (refused.returncode, refused.stdout) == (2, b"")


# Of ASCII, click believes that it is a mistake, and writes UTF-8.
@pytest.mark.parametrize(
    ("encoding", "read_as", "shown"),
    [("latin-1", "latin-1", r"Übersicht \u6f22.txt"), ("ascii", "utf-8", UMLAUT)],
)
def test_names_that_a_terminal_cannot_show_stop_nothing(run, uri, encoding, read_as, shown):
    done = run("flask", "temp_share", "url", uri, PYTHONIOENCODING=encoding, LC_ALL="C")
    assert done.returncode == 0, done.stderr
    name, _, url = done.stdout.decode(read_as).strip().partition("\t")
    assert name == shown
    assert url.startswith("http")


def test_json_is_ascii_on_every_terminal(run, uri):
    done = run("flask", "temp_share", "url", uri, "--json", PYTHONIOENCODING="latin-1")
    [file] = json.loads(done.stdout.decode("ascii"))["files"]
    assert file["relpath"] == UMLAUT
