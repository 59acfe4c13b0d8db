"""Ctrl-C in a transfer, which the same command goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dserver_client.errors import ClientError

EXIT_CODE = 130


class Interrupted(ClientError):
    """A person has pressed Ctrl-C."""

    exit_code = EXIT_CODE
    slug = "interrupted"


@contextmanager
def resumable(advice: str) -> Iterator[None]:
    """Say after Ctrl-C what becomes of a transfer."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Interrupted. {advice}") from interrupt
