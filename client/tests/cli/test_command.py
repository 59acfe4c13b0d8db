"""How commands end: with a sentence or a document, an exit code, and never with a traceback."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from dserver_client import errors
from dserver_client.cli import main
from dserver_client.cli.command import CommandGroup, command_options
from dserver_client.cli.interruption import Interrupted, resumable

COMMAND = Path(sys.executable).with_name("dserver")
FULL = Path("/dev/full")
SIGNED = "https://s3.example.org/lab/x?X-Amz-Credential=AK&X-Amz-Signature=5ec4e7"
TOKEN = "eyJhbGciOi.eyJzdWIiOi.5ec4e7-_"
needs_full = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is of Linux")

RAISED = {
    "missing": errors.Refused("It is not there.", 404, "dataset-not-found", {"uri": "s3://lab"}),
    "differs": errors.VerificationFailed("One file differs.", {"a.csv": "size"}),
    "ended": errors.NotLoggedIn("The token has expired."),
    "unforeseen": RuntimeError(f"{SIGNED} {TOKEN}"),
    "disk": OSError(errno.ENOSPC, "No space left on device", "out.csv"),
    "control": errors.ClientError("\x1b[2Jcleared"),
}


@click.group(cls=CommandGroup)
def group() -> None:
    """Commands that fail."""


@group.command()
@click.argument("what", type=click.Choice(list(RAISED)))
@command_options
def fail(session, *, what):
    raise RAISED[what]


@group.command()
@command_options
def interrupted(session):
    with resumable("The same command goes on."):
        raise KeyboardInterrupt


@group.command()
@command_options
def interrupted_elsewhere(session):
    raise KeyboardInterrupt


@group.command()
@command_options
def question(session):
    click.prompt("Token", hide_input=True)


@group.command()
@command_options
def answer(session):
    session.output.result({"name": "\x1b[2J"}, "\x1b[2J")


def run(*words: str, **options):
    return CliRunner().invoke(group, words, **options)


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("missing", 5, "It is not there."),
        ("differs", 8, "One file differs."),
        ("ended", 3, "The token has expired."),
        ("unforeseen", 1, "Unexpected RuntimeError; --verbose shows where it comes from."),
        ("disk", 1, "No space left on device: out.csv."),
        ("control", 1, "\\x1b[2Jcleared"),
    ],
)
def test_an_error_is_a_sentence_on_stderr(what, code, message):
    done = run("fail", what)
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", f"Error: {message}\n")


def test_an_error_of_dserver_is_a_document_with_its_facts():
    done = run("fail", "missing", "--json")
    assert (done.exit_code, done.stderr) == (5, "")
    assert json.loads(done.stdout)["error"] == {
        "slug": "dataset-not-found",
        "message": "It is not there.",
        "exit_code": 5,
        "status": 404,
        "uri": "s3://lab",
    }


def test_a_document_names_the_items_that_differ():
    error = json.loads(run("fail", "differs", "--json").stdout)["error"]
    assert error["items"] == {"a.csv": "size"}


def test_wrong_use_is_a_document_too():
    done = run("fail", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["slug"] == "usage"


def test_a_traceback_is_shown_if_it_is_wanted_and_without_secrets():
    done = run("fail", "unforeseen", "--verbose")
    assert "Traceback" in done.stderr
    assert "https://s3.example.org/lab/x…" in done.stderr
    assert "5ec4e7" not in done.stderr


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("interrupted", "Error: Interrupted. The same command goes on.\n"),
        ("interrupted-elsewhere", "Error: Interrupted.\n"),
    ],
)
def test_after_control_c_a_command_says_how_to_go_on(command, sentence):
    done = run(command)
    assert done.exit_code == 130
    assert done.stderr.endswith(sentence)


def test_an_outage_says_how_to_go_on_too():
    sentence = r"dserver is away\. The same command resumes\."
    with (
        pytest.raises(errors.Unavailable, match=sentence),
        resumable("The same command resumes."),
    ):
        raise errors.Unavailable("dserver is away.")


def test_a_transfer_in_the_background_ignores_control_c_as_before():
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with resumable("The same command resumes."):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_a_question_that_nobody_answers_is_wrong_use():
    done = run("question", input="")
    assert done.exit_code == 2
    assert "standard input has ended" in done.stderr


def test_a_terminal_obeys_no_result():
    assert run("answer").stdout == "\\x1b[2J\n"
    assert json.loads(run("answer", "--json").stdout) == {"name": "\x1b[2J"}


def test_help_names_every_exit_code():
    help_text = CliRunner().invoke(main, ["--help"]).stdout
    documented = {int(code) for code in re.findall(r"(?m)^ +(\d+)  \w", help_text)}
    kinds = [errors.ClientError, Interrupted]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {kind.exit_code for kind in kinds}
    codes |= {errors.Refused("", status, "", {}).exit_code for status in range(400, 600)}
    assert documented == codes | {0}


@needs_full
def test_a_full_disk_is_told():
    with FULL.open("wb") as full:
        done = subprocess.run([COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"Error: No space left on device.\n"


def test_a_closed_pipe_is_no_error_worth_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [COMMAND, "--help"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")
