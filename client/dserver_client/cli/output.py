"""Standard output and standard error: text for people, one JSON document for scripts.

What the encoding of a terminal lacks is escaped, and so are characters that a terminal would obey,
wherever they come from. Nothing is raised for messages that cannot be written.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict, is_dataclass
from datetime import datetime
from errno import EINVAL, EPIPE
from pathlib import PurePath
from typing import Any, TextIO

import click

from dserver_client.display.formats import printable
from dserver_client.errors import ClientError, reason_of
from dserver_client.links import without_token

# Queries of URLs, which may hold signatures, and JWTs.
_SECRETS = re.compile(r"\?[^\s'\"<>()]*=[^\s'\"<>()]*|\beyJ[\w-]+\.[\w-]+\.[\w-]*")


class OutputFailed(ClientError):
    """Standard output cannot be written."""

    slug = "output"


class OutputClosed(OutputFailed):
    """The program that reads standard output has ended, as ``head`` does."""


class Output:
    """Where a command writes its result; with ``as_json`` it is one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def result(self, document: object, text: str) -> None:
        """Write the result: the document as JSON, or the text."""
        write(json_text(document) if self.as_json else printable(text))

    def line(self, text: str) -> None:
        """Write a line of the result for people, before it is complete."""
        if not self.as_json:
            write(printable(text))

    def message(self, text: str) -> None:
        """Tell people something beside the result, on standard error."""
        write_message(printable(text))


def tolerate_encodings() -> None:
    """Let characters that a stream cannot encode be written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        # Neither a closed stream nor one that a test has replaced can be changed.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write a line to standard output.

    Raises `OutputClosed` if nobody reads it any more, `OutputFailed` if its disk is full.
    """
    try:
        click.echo(text)
    except OSError as error:
        raise output_failed(error) from error


def output_failed(error: OSError) -> OutputFailed:
    """Give up standard output; return the error to raise."""
    _give_up(sys.stdout)
    # Windows answers EINVAL for a closed pipe.
    if error.errno in {EPIPE, EINVAL}:
        return OutputClosed("Nobody reads standard output any more.")
    return OutputFailed(f"Standard output cannot be written: {reason_of(error)}.")


def write_message(text: str) -> None:
    """Write a line to standard error, if that is possible."""
    try:
        click.echo(text, err=True)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO | None) -> None:
    """Send what is left of a stream nowhere, which Python would try to write when it exits."""
    # It is None where its descriptor is closed.
    if stream is None:
        return
    try:
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except (OSError, ValueError):
        return
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def json_text(document: object) -> str:
    """Return a document in ASCII: values as objects, times in ISO 8601."""
    return json.dumps(document, indent=2, default=_plain)


def without_secrets(text: str) -> str:
    """Replace signatures and tokens in a traceback or a log message."""
    return without_token(_SECRETS.sub("…", text))


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
