"""Treats signals that end a command like Ctrl-C, so that it leaves a decision in the audit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What a shell adds to the number of the signal that has ended a command.
_ENDED_BY = 128
INTERRUPTED_CODE = _ENDED_BY + signal.SIGINT


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

    Only the first interrupts: it often comes twice, and what it leads to has to be completed.
    Yields a function after whose call these signals are ignored.
    """
    is_main = threading.current_thread() is threading.main_thread()
    # No other thread can handle signals.
    ending = [each for each in (signal.SIGHUP, signal.SIGTERM) if is_main and _is_default(each)]

    def ignore() -> None:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)

    def interrupt(number: int, _frame: Any) -> None:
        ignore()
        raise Terminated(number)

    for each in ending:
        signal.signal(each, interrupt)
    try:
        yield ignore
    finally:
        for each in ending:
            signal.signal(each, signal.SIG_DFL)


def _is_default(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_DFL
