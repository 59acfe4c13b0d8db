"""Transfers that the same command resumes: after Ctrl-C, and after an outage."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from dserver_client.cli.output import write_message
from dserver_client.errors import ClientError, Unavailable

EXIT_CODE = 130


class Interrupted(ClientError):
    """A person has pressed Ctrl-C."""

    exit_code = EXIT_CODE
    slug = "interrupted"


@contextmanager
def resumable(advice: str) -> Iterator[None]:
    """Say how a transfer is resumed, after Ctrl-C or if dserver or the store is unavailable."""
    try:
        with _announced_interruption():
            yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Interrupted. {advice}") from interrupt
    except Unavailable as error:
        error.args = (f"{error} {advice}",)
        raise


@contextmanager
def _announced_interruption() -> Iterator[None]:
    """Answer Ctrl-C at once: what is at work may need a moment to stop."""
    # Elsewhere it is ignored, as in a shell's background, or handled by somebody else.
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # RuntimeError: the signal came while this thread was writing.
    with suppress(RuntimeError):
        write_message("\nInterrupting...")
    raise KeyboardInterrupt
