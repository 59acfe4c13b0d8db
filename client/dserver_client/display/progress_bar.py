"""The progress display: a bar on terminals and in notebooks, elsewhere a line every 30 seconds."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from threading import Event, Lock, RLock, Thread
from typing import Any, Protocol, TextIO

from dserver_client.display.formats import count_text, duration_text, size_text

_LABELS = {
    "hash": "Hashing",
    "send": "Sending",
    "fetch": "Fetching",
    "check": "Checking",
    "complete": "Completing",
}
BAR_SECONDS = 0.1
LINE_SECONDS = 30.0


@dataclass
class _Phase:
    """One phase of a transfer; what is done is changed by many threads, under the lock."""

    label: str
    size_in_bytes: int | None
    items: int | None
    done_in_bytes: int = 0
    done_items: int = 0
    lock: Lock = field(default_factory=Lock, repr=False)
    ended: Event = field(default_factory=Event, repr=False)


class ProgressBar:
    """Shows bytes, files, rate and time left of a transfer; implements `progress.Progress`.

    ``advance`` only adds numbers: a thread of its own writes, to standard error unless another
    stream is given. On a terminal and in a notebook it is a bar, which appears after a tenth of
    a second; in a log or a pipe a line every 30 seconds, without control characters.
    """

    def __init__(self, stream: TextIO | None = None, *, interval: float | None = None) -> None:
        """Show on a stream, every ``interval`` seconds."""
        self._stream = stream
        self._interval = interval
        self._phase: _Phase | None = None
        self._thread: Thread | None = None

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        """Begin a phase; one that has not been finished ends."""
        self.finish()
        # It is None where standard error is closed.
        stream = self._stream or sys.stderr
        if stream is None:
            return
        self._phase = _Phase(_LABELS.get(phase, phase.capitalize()), size_in_bytes, items)
        self._thread = Thread(
            target=self._show, args=(self._phase, stream), name="progress", daemon=True
        )
        self._thread.start()

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        """Add bytes and items that are done, or take back by negative numbers."""
        phase = self._phase
        if phase is not None:
            with phase.lock:
                phase.done_in_bytes += size_in_bytes
                phase.done_items += items

    def finish(self) -> None:
        """End the phase, and leave its last state on the screen if it has been shown at all."""
        if self._phase is None or self._thread is None:
            return
        self._phase.ended.set()
        self._thread.join()
        self._phase = self._thread = None

    def _show(self, phase: _Phase, stream: TextIO) -> None:
        view: _View = _Bar(phase, stream) if _can_redraw(stream) else _Lines(phase, stream)
        shown = False
        try:
            while not phase.ended.wait(self._interval or view.interval):
                view.show()
                shown = True
            if shown:
                view.close()
        except (OSError, ValueError):
            # The stream is closed or its disk full: the transfer goes on without a display.
            return


class _View(Protocol):
    """How a phase is shown on one kind of stream."""

    interval: float

    def show(self) -> None:
        """Show the present state."""

    def close(self) -> None:
        """Show the last state."""


class _Lines:
    """A line for each state, for logs."""

    interval = LINE_SECONDS

    def __init__(self, phase: _Phase, stream: TextIO) -> None:
        self._phase = phase
        self._stream = stream
        self._before = (time.monotonic(), 0)

    def show(self) -> None:
        phase, (time_before, done_before) = self._phase, self._before
        now, done = time.monotonic(), phase.done_in_bytes
        self._before = (now, done)
        rate = max(0, done - done_before) / max(now - time_before, 0.001)
        words = _amounts(phase)
        if rate:
            words.append(f"{size_text(rate)}/s")
            if phase.size_in_bytes and phase.size_in_bytes > done:
                words.append(f"{duration_text((phase.size_in_bytes - done) / rate)} left")
        self._write(words)

    def close(self) -> None:
        self._write(_amounts(self._phase))

    def _write(self, words: list[str]) -> None:
        self._stream.write(f"{self._phase.label}: {', '.join(words)}\n")
        self._stream.flush()


class _Bar:
    """A line that is written again and again, by tqdm."""

    interval = BAR_SECONDS

    def __init__(self, phase: _Phase, stream: TextIO) -> None:
        self._phase = phase
        self._stream = stream
        self._by_bytes = bool(phase.size_in_bytes) or not phase.items
        self._bar = _new_bar(phase, stream, by_bytes=self._by_bytes)

    def show(self) -> None:
        phase = self._phase
        self._bar.ncols = _width(self._stream)
        if self._by_bytes:
            if phase.items or phase.done_items:
                self._bar.set_postfix_str(_files(phase), refresh=False)
            done = phase.done_in_bytes
        else:
            done = phase.done_items
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self.show()
        self._bar.close()


def _new_bar(phase: _Phase, stream: TextIO, *, by_bytes: bool) -> Any:
    # The import takes longer than many commands need.
    from tqdm import tqdm  # noqa: PLC0415

    class Bar(tqdm):  # type: ignore[type-arg]
        # No thread beside ours.
        monitor_interval = 0

    # tqdm's own lock is one between processes, which some systems do not have.
    Bar.set_lock(RLock())
    total = phase.size_in_bytes if by_bytes else phase.items
    numbers = "{n_fmt}B/{total_fmt}B [{rate_fmt}, {remaining} left{postfix}]"
    if not by_bytes:
        # Files are counted too slowly at first for a rate.
        numbers = "{n_fmt} of {total_fmt} files"
    return Bar(
        total=total or None,
        desc=phase.label,
        unit="B" if by_bytes else " files",
        unit_scale=by_bytes,
        bar_format="{desc} {percentage:3.0f}% |{bar}| " + numbers
        if total
        else "{desc} {n_fmt} [{rate_fmt}{postfix}]",
        file=stream,
        ncols=_width(stream),
        # Never found out: of a terminal that does not know its size, tqdm would use no line.
        nrows=20,
        mininterval=0,
        miniters=0,
    )


def _can_redraw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal, or a notebook, which obeys carriage returns."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel")


def _width(stream: TextIO) -> int:
    """Return the columns that can be written without starting a new line."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    # A terminal may not know its size, and a notebook has none.
    return (columns or 80) - 1


def _amounts(phase: _Phase) -> list[str]:
    words = []
    if phase.size_in_bytes:
        percent = 100 * phase.done_in_bytes // phase.size_in_bytes
        words.append(
            f"{size_text(phase.done_in_bytes)} of {size_text(phase.size_in_bytes)} ({percent} %)"
        )
    elif phase.done_in_bytes or not phase.items:
        words.append(size_text(phase.done_in_bytes))
    if phase.items or phase.done_items:
        words.append(_files(phase))
    return words


def _files(phase: _Phase) -> str:
    if phase.items is None:
        return count_text(phase.done_items, "file")
    return f"{phase.done_items:,} of {count_text(phase.items, 'file')}"
