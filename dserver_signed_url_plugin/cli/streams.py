"""Standard output and standard error of a command that meet a full disk or a closed pipe.

The command ends with a sentence and exit code 1 if its output cannot be written. What cannot be
written to standard error is dropped. What the encoding of the terminal lacks is escaped; if that is
ASCII, click writes UTF-8.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class OutputError(OSError):
    """Standard output cannot be written; the message says why."""


class Group(click.Group):
    """A group of commands that end with a sentence if their output cannot be written."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse arguments, which may print a help text."""
        protect()
        with _sentence():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _sentence():
            return super().invoke(ctx)


class _Descriptor(io.FileIO):
    """A file descriptor whose failures are not raised, but for the first of standard output.

    Python writes what is left in a buffer again when it exits.
    """

    def __init__(self, descriptor: int, *, raises: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._raises = raises

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self._raises:
                self._raises = False
                raise OutputError(
                    f"Standard output cannot be written ({error.strerror}); what the command has "
                    "changed stays changed."
                ) from error
            return memoryview(data).nbytes


def protect() -> None:
    """Replace this process's standard output and error, unless they have been replaced already."""
    sys.stdout = _protected(sys.stdout, sys.__stdout__, raises=True)
    sys.stderr = _protected(sys.stderr, sys.__stderr__, raises=False)


def _protected(stream: Any, original: Any, *, raises: bool) -> Any:
    # A stream is None if its descriptor is closed.
    if stream is None or stream is not original:
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno(), raises=raises)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


@contextmanager
def _sentence() -> Iterator[None]:
    try:
        yield
    except OutputError as error:
        raise click.ClickException(str(error)) from error
