"""Treats signals that end a command like Ctrl-C, so that it leaves a decision in the audit."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

# A shell adds this to the number of the signal that has ended a command.
_ENDED_BY = 128
INTERRUPTED_CODE = _ENDED_BY + signal.SIGINT
# Python's handlers, which raise KeyboardInterrupt or end the process.
_DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
}


class Terminated(KeyboardInterrupt):
    """A signal that ends a command.

    :param number: its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = _ENDED_BY + number


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Treat the end of the terminal (SIGHUP) and SIGTERM like Ctrl-C, unless they are ignored.

    Only the first of these interrupts: it often comes twice, and what it leads to has to be
    completed. A second Ctrl-C interrupts that, too. Yields a function after whose call all three
    are ignored until the ``with`` block ends.
    """
    is_main = threading.current_thread() is threading.main_thread()
    # No other thread can handle signals.
    ours = [number for number in _DEFAULTS if is_main and _is_default(number)]
    ending = [number for number in ours if number != signal.SIGINT]

    def interrupt(number: int, _frame: Any) -> None:
        _handle(ending, signal.SIG_IGN)
        raise Terminated(number)

    _handle(ending, interrupt)
    try:
        yield lambda: _handle(ours, signal.SIG_IGN)
    finally:
        for number in ours:
            signal.signal(number, _DEFAULTS[number])


@contextmanager
def explained_interruption(consequence: str) -> Iterator[None]:
    """Say what an interruption leads to, and exit with the code that a shell has for it."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        click.echo(f"Interrupted. {consequence}".rstrip(), err=True)
        if isinstance(interruption, Terminated):
            # Becomes its exit code when it has been recorded.
            raise
        sys.exit(INTERRUPTED_CODE)


def _is_default(number: signal.Signals) -> bool:
    return signal.getsignal(number) is _DEFAULTS[number]


def _handle(numbers: Iterable[signal.Signals], handler: Any) -> None:
    for number in numbers:
        signal.signal(number, handler)
