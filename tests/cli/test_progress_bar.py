"""How far a command has come is seen on a terminal, and nowhere else."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, redirect_stderr

from dserver_signed_url_plugin.cli.progress_bar import progress_bar, tracked
from tests.support.terminal import opened as terminal_opened


@contextmanager
def terminal():
    """Let remarks go to a terminal; yield what reads it."""
    ours, theirs = terminal_opened()
    with os.fdopen(theirs, "w") as screen, redirect_stderr(screen):
        yield lambda: read_to_the_end(ours, screen)
    os.close(ours)


def read_to_the_end(ours, screen):
    """Return what the screen shows; a terminal hands on what it is given in its own time."""
    shown, end = b"", "the end"
    print(end, end="", file=screen, flush=True)
    while not shown.endswith(end.encode()):
        shown += os.read(ours, 1024)
    return shown.decode()


def test_a_terminal_shows_how_many_have_been_dealt_with():
    with terminal() as read:
        assert list(tracked("abc", "Sweeping", 3)) == ["a", "b", "c"]
        shown = read()
    assert "Sweeping" in shown
    assert "100%" in shown


def test_a_terminal_shows_how_many_bytes_have_gone():
    with terminal() as read:
        with progress_bar("Sending", 4) as advance:
            advance(2)
            advance(2)
        shown = read()
    assert "Sending" in shown
    assert "100%" in shown


def test_where_stderr_is_closed_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar("Sending", 4) as advance:
        advance(4)
    assert list(tracked("abc", "Sweeping", 3)) == ["a", "b", "c"]


def test_a_log_shows_nothing(capsys):
    with progress_bar("Sending", 4) as advance:
        advance(4)
    assert list(tracked("abc", "Sweeping", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
