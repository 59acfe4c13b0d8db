"""The command as a process: on a terminal, interrupted, and in a pipe as cron starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from dserver_client.token_store import TokenStore

from tests.support.http_server import serving
from tests.support.terminal import opened

COMMAND = Path(sys.executable).with_name("dserver")
PATIENCE = 60


class Stalling:
    """A dserver that lets the first request to complete an upload wait."""

    def __init__(self, app) -> None:
        self._app = app
        self.reached, self.go_on = Event(), Event()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"].endswith("/upload-complete") and not self.go_on.is_set():
            self.reached.set()
            self.go_on.wait(PATIENCE)
        return self._app(environ, start_response)


@pytest.fixture
def start(lab):
    """Start the command as a process, as alice."""

    def act(url: str, *words: object, **options) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "DSERVER_URL": url, "DSERVER_TOKEN": lab.tokens["alice"]}
        environment |= options.pop("env", {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [COMMAND, *map(str, words)], env=environment, **{**pipes, **options}
        )

    return act


def test_after_control_c_the_same_command_resumes(start, lab, tmp_path):
    directory = tmp_path / "results"
    directory.mkdir()
    (directory / "a.csv").write_text("day,mm\n1,2\n")
    stalling = Stalling(lab.app)
    with serving(stalling) as url:
        process = start(url, "put", directory, lab.base_uri)
        assert stalling.reached.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        output, messages = process.communicate(timeout=PATIENCE)
        stalling.go_on.set()
        assert (process.returncode, output) == (130, b"")
        assert messages == (
            b"\nInterrupting...\n"
            b"Error: Interrupted. What is stored is kept: the same command resumes the deposit.\n"
        )
        again = start(url, "put", directory, lab.base_uri)
        output, messages = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, messages
    assert output.decode().startswith(lab.base_uri)
    # As cron would send it by mail.
    assert messages == b"results: 1 file, 11 B, registered; 11 B were already stored.\n"


def test_a_terminal_asks_for_a_token_and_does_not_show_it(start, lab, dserver_url):
    ours, theirs = opened()
    process = start(
        dserver_url,
        "login",
        env={"DSERVER_TOKEN": ""},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"(it is not shown)" not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, lab.tokens["alice"].encode() + b"\n")
    while b"is kept in" not in shown:
        shown += os.read(ours, 4096)
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    assert b"as alice" in shown
    assert lab.tokens["alice"].encode() not in shown
    assert TokenStore().get(dserver_url) == lab.tokens["alice"]
