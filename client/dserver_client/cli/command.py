"""The base of the command and its subcommands: common options, and how a command ends.

Whatever goes wrong, a command ends with a sentence and an exit code; with ``--json`` both are in
a document ``{"error": {"slug", "message", "exit_code", …}}`` on standard output. A traceback is
shown with ``--verbose`` only.
"""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click

from dserver_client.cli import output
from dserver_client.cli.interruption import Interrupted
from dserver_client.cli.session import Session
from dserver_client.display.formats import printable
from dserver_client.errors import (
    ClientError,
    FilesExist,
    Refused,
    UnusableNames,
    UsageError,
    VerificationFailed,
)


class CommandGroup(click.Group):
    """A group of commands that end with a sentence, never with a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are usually needed."""
        return list(self.commands)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit."""
        typed = args[0] if args else extra.get("args")
        words = sys.argv[1:] if typed is None else list(typed)
        output.tolerate_encodings()
        extra["standalone_mode"] = False
        sys.exit(
            _exit_code(
                functools.partial(super().main, *args, **extra),
                as_json="--json" in words,
                verbose="--verbose" in words,
            )
        )


def command_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command has; they become its first argument, a `Session`."""

    @click.option(
        "--server",
        metavar="URL",
        help="Address of dserver, instead of DSERVER_URL or that of the last login.",
    )
    @click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document; errors are JSON, too."
    )
    @click.option(
        "--verbose",
        is_flag=True,
        help="Log requests and retries to standard error, and show where an error comes from.",
    )
    @functools.wraps(function)
    def wrapped(*, server: str | None, as_json: bool, verbose: bool, **options: Any) -> None:
        session = Session(server=server, as_json=as_json)
        with _logged() if verbose else nullcontext():
            try:
                function(session, **options)
            finally:
                session.close()

    return wrapped


def _exit_code(run: Callable[[], object], *, as_json: bool, verbose: bool) -> int:
    """Run a command; report what went wrong, and return the exit code."""
    try:
        code = run()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        failure = _aborted(error)
    except output.OutputClosed:
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        output.write_message(error.format_message())
        return error.exit_code
    except Exception as error:  # noqa: BLE001 (a person gets a sentence, whatever went wrong)
        if verbose:
            text = "".join(traceback.format_exception(error))
            output.write_message(printable(output.without_secrets(text)))
        failure = _failure(error)
    else:
        return code if isinstance(code, int) else 0
    _report(failure, as_json=as_json)
    return int(failure["exit_code"])


def _report(failure: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        try:
            output.write(output.json_text({"error": failure}))
        except output.OutputFailed as error:
            output.write_message(f"Error: {error}")
    else:
        output.write_message(printable(f"Error: {failure['message']}"))


def _aborted(error: BaseException) -> dict[str, Any]:
    """Return what to report after Ctrl-C, or when nobody answers a prompt."""
    if isinstance(error.__context__, EOFError):
        return _failure(UsageError("An answer is needed, and standard input has ended."))
    return _failure(Interrupted("Interrupted."))


def _failure(error: Exception) -> dict[str, Any]:
    """Return what to report of an error."""
    if isinstance(error, ClientError):
        return _client_failure(error)
    if isinstance(error, click.ClickException):
        return {"slug": "usage", "message": _click_message(error), "exit_code": error.exit_code}
    if isinstance(error, OSError):
        name = f": {error.filename}" if error.filename else ""
        message = f"{error.strerror or error}{name}."
        return {"slug": "local-file", "message": message, "exit_code": 1}
    message = f"Unexpected {type(error).__name__}; --verbose shows where it comes from."
    return {"slug": "unexpected", "message": message, "exit_code": 1}


def _client_failure(error: ClientError) -> dict[str, Any]:
    """Return what to report of an error of this package, with its details."""
    facts: dict[str, Any] = {}
    if isinstance(error, Refused):
        facts = {**error.facts, "status": error.status}
    elif isinstance(error, VerificationFailed):
        facts = {**error.facts, "items": error.items}
    elif isinstance(error, (UnusableNames, FilesExist)):
        facts = {"items": error.items}
    if error.request_id:
        facts["request_id"] = error.request_id
    found = {"slug": error.slug, "message": str(error), "exit_code": error.exit_code}
    return {**facts, **found}


def _click_message(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message} ('{context.command_path} --help' describes the command.)"


@contextmanager
def _logged() -> Iterator[None]:
    """Log requests and what this package does to standard error, without signatures and tokens."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("dserver_client", "urllib3.connectionpool")]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.setLevel(logging.NOTSET)
            logger.removeHandler(handler)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(output.without_secrets(super().format(record)))
