"""How far a command has come: one bar, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

Thing = TypeVar("Thing")


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress towards a total; call what is yielded with each part of it.

    A log gets nothing: cron would send even the label by mail.
    """
    # Where stderr is closed, there is none.
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr) as shown:
        yield shown.update


def watched(things: Iterable[Thing], label: str, total: int) -> Iterator[Thing]:
    """Yield things, so many in all, and show how many have been dealt with."""
    with bar(label, total) as told:
        for thing in things:
            yield thing
            told(1)
