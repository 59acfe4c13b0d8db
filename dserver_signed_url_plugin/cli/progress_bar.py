"""Progress bars, shown on terminals only."""

from __future__ import annotations

import sys
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


def tracked(things: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yield things, ``total`` of them, and show how many have been processed."""
    with progress_bar(label, total) as advance:
        for thing in things:
            yield thing
            advance(1)
