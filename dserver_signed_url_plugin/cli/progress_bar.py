"""Progress bars, shown on terminals only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from dserver_signed_url_plugin.progress import Progress

T = TypeVar("T")


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Progress]:
    """Show progress towards a total; what is yielded advances it by a number.

    A log gets nothing: cron would send even the label by mail.
    """
    # It is None where standard error is closed.
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def byte_counter(label: str) -> Iterator[Progress]:
    """Show how many bytes there were, and how many per second; what is yielded adds some.

    For what has no total. A log gets nothing.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    counter = _ByteCounter(label)
    try:
        yield counter.add
    finally:
        counter.show()
        click.echo(err=True)


class _ByteCounter:
    """Shows a number of bytes on one line of a terminal, a few times a second."""

    _INTERVAL = 0.2  # seconds

    def __init__(self, label: str) -> None:
        self._label, self._count = label, 0
        self._begun = self._shown = time.monotonic()

    def add(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._shown >= self._INTERVAL:
            self.show()

    def show(self) -> None:
        """Write the line anew."""
        self._shown = time.monotonic()
        rate = self._count / max(self._shown - self._begun, 1e-3)
        mib, mib_per_second = (number / 1024**2 for number in (self._count, rate))
        line = f"{self._label}  {mib:,.1f} MiB  {mib_per_second:,.1f} MiB/s"
        # To the end of the line: a rate may have had more digits before.
        click.echo(f"\r{line}\x1b[K", err=True, nl=False)


def tracked(things: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yield things, ``total`` of them, and show how many have been processed."""
    with progress_bar(label, total) as advance:
        for thing in things:
            yield thing
            advance(1)
