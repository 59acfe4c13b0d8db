"""Records every command that changes or grants something as one decision of the audit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit import operators
from dserver_signed_url_plugin.audit.decisions import COMMAND, Decision, Outcome
from dserver_signed_url_plugin.audit.operators import Operator
from dserver_signed_url_plugin.cli.interruptions import INTERRUPTED_CODE, Terminated, interruptible
from dserver_signed_url_plugin.errors import DatabaseBusy, InternalError, SignedURLError
from dserver_signed_url_plugin.services import services

# Reasons that are no slugs of errors.
_FAILED, _INTERRUPTED, _WRONG_USAGE = "command-failed", "command-interrupted", "wrong-usage"
# Parameters that name what a command is about.
_URIS = ("uri", "base_uri")


def recorded(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Let each run of a command end as a decision, except a dry run, which does nothing.

    Decisions that services record meanwhile are the operator's, too.
    """

    @wraps(callback)
    def run(*arguments: Any, **options: Any) -> Any:
        if options.get("dry_run"):
            return callback(*arguments, **options)
        try:
            with operators.acting(Operator.of_process(os.environ)), _run_recorded(options):
                return callback(*arguments, **options)
        except Terminated as signal:
            sys.exit(signal.exit_code)

    in_context: Callable[..., Any] = with_appcontext(run)
    return in_context


@contextmanager
def _run_recorded(options: Mapping[str, Any]) -> Iterator[None]:
    reason: str | None = None
    with interruptible() as ignore_signals:
        try:
            yield
        except BaseException as error:
            reason = _reason(error)
            raise
        finally:
            ignore_signals()
            _record(options, reason)


def _record(options: Mapping[str, Any], reason: str | None) -> None:
    services().audit.record(
        Decision(
            action=f"{COMMAND}{_name(click.get_current_context())}",
            username="",
            uri=next((str(options[name]) for name in _URIS if options.get(name)), ""),
            outcome=Outcome.REFUSED if reason else Outcome.GRANTED,
            reason=reason,
        )
    )


def _name(context: click.Context) -> str:
    names = [each.command.name for each in (context.parent, context) if each is not None]
    return " ".join(filter(None, names))


def _reason(error: BaseException) -> str | None:
    """Return why a command failed: the slug of an error, or a word; None if it has succeeded."""
    for each in (error, error.__cause__):
        if isinstance(each, SignedURLError):
            return each.slug
        if isinstance(each, database.REFUSALS):
            return DatabaseBusy.slug
    if isinstance(error, (SystemExit, click.exceptions.Exit)):
        code = error.code if isinstance(error, SystemExit) else error.exit_code
        return (_INTERRUPTED if code == INTERRUPTED_CODE else _FAILED) if code else None
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _INTERRUPTED
    if isinstance(error, click.UsageError):
        return _WRONG_USAGE
    return _FAILED if isinstance(error, (click.ClickException, OSError)) else InternalError.slug
