"""The progress display on a terminal, in a notebook, in a log and where nobody can read it."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from threading import Thread

import pytest
from dserver_client.display.progress_bar import ProgressBar

from tests.support.terminal import opened

PATIENCE = 60


class Terminal:
    """A terminal, and what it shows."""

    def __init__(self) -> None:
        self._ours, theirs = opened()
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        self.shown = ""

    def wait_for(self, text: str) -> None:
        while text not in self.shown:
            self.shown += os.read(self._ours, 4096).decode("utf-8", "replace")

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


class Log(io.StringIO):
    """A stream of which a test can wait for a line."""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.getvalue():
            assert time.monotonic() < deadline, self.getvalue()
            time.sleep(0.001)


def test_a_terminal_shows_bytes_files_rate_and_time_left(terminal):
    bar = ProgressBar(terminal.stream, interval=0.01)
    bar.start("send", 3_000_000, 20)
    bar.advance(1_500_000, 10)
    terminal.wait_for("10 of 20 files")
    bar.finish()
    last = terminal.shown.split("\r")[-1]
    assert last.startswith("Sending  50% |")
    assert "1.50MB/3.00MB [" in last
    assert "B/s, " in last
    assert " left, 10 of 20 files]" in last


def test_a_phase_without_bytes_is_shown_by_its_files(terminal):
    bar = ProgressBar(terminal.stream, interval=0.01)
    bar.start("complete", None, 4)
    bar.advance(0, 3)
    terminal.wait_for("3 of 4 files")
    bar.finish()


def test_a_bar_needs_no_unicode(monkeypatch):
    ours, theirs = opened()
    with os.fdopen(theirs, "w", encoding="ascii") as stream:
        bar = ProgressBar(stream, interval=0.01)
        bar.start("fetch", 10, 1)
        bar.advance(5)
        shown = os.read(ours, 4096)
        while b"5.00B/10.0B" not in shown:
            shown += os.read(ours, 4096)
        bar.finish()
    os.close(ours)
    assert shown.isascii()


def test_a_log_gets_lines_without_control_characters():
    log = Log()
    bar = ProgressBar(log, interval=0.01)
    bar.start("fetch", 4_000_000, 2)
    bar.advance(1_000_000, 1)
    log.wait_for("Fetching: 1.0 MB of 4.0 MB (25 %), 1 of 2 files")
    bar.advance(3_000_000, 1)
    bar.finish()
    lines = log.getvalue().splitlines()
    assert lines[-1] == "Fetching: 4.0 MB of 4.0 MB (100 %), 2 of 2 files"
    assert all(line.isprintable() for line in lines)


def test_a_log_says_how_long_it_takes():
    log = Log()
    bar = ProgressBar(log, interval=0.05)
    bar.start("send", 10**15, None)
    bar.advance(10**9)
    log.wait_for("\n")
    bar.finish()
    assert "B/s, " in log.getvalue()
    assert " left\n" in log.getvalue()


def test_what_ends_at_once_is_not_shown(capsys):
    bar = ProgressBar()
    bar.start("hash", 10, 1)
    bar.advance(10, 1)
    bar.finish()
    bar.finish()
    assert capsys.readouterr() == ("", "")


def test_a_notebook_is_a_place_that_obeys_carriage_returns():
    class OutStream(Log):
        __module__ = "ipykernel.iostream"

    notebook = OutStream()
    bar = ProgressBar(notebook, interval=0.01)
    bar.start("fetch", 10, 1)
    bar.advance(5)
    notebook.wait_for("5.00B/10.0B")
    bar.finish()
    assert notebook.getvalue().startswith("\rFetching ")


def test_bytes_that_have_to_be_sent_again_are_taken_back():
    log = Log()
    bar = ProgressBar(log, interval=0.01)
    bar.start("send", 100, None)
    bar.advance(90)
    bar.advance(-50)
    log.wait_for("40 B of 100 B (40 %)")
    bar.finish()


def test_threads_lose_no_byte():
    log = Log()
    bar = ProgressBar(log, interval=0.01)
    bar.start("send", 64_000, 64_000)

    def work() -> None:
        for _ in range(1_000):
            bar.advance(1, 1)

    threads = [Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.wait_for("\n")
    bar.finish()
    assert log.getvalue().endswith("64.0 kB of 64.0 kB (100 %), 64,000 of 64,000 files\n")


def test_where_stderr_is_closed_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    bar = ProgressBar(interval=0.01)
    bar.start("send", 4, None)
    bar.advance(4)
    bar.finish()


def test_a_stream_that_cannot_be_written_stops_no_transfer():
    class Full(io.StringIO):
        written = False

        def write(self, text: str) -> int:
            self.written = True
            raise OSError(28, "No space left on device")

    full = Full()
    bar = ProgressBar(full, interval=0.001)
    bar.start("send", 4, None)
    deadline = time.monotonic() + PATIENCE
    while not full.written and time.monotonic() < deadline:
        time.sleep(0.001)
    bar.advance(4)
    bar.finish()
    assert full.written
