"""The base of all command groups, and an option that many commands have.

Whatever goes wrong, a command ends with a sentence and 1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.cli import streams
from dserver_signed_url_plugin.cli.recorded import recorded
from dserver_signed_url_plugin.errors import DatabaseBusy, DatasetExpiring, SignedURLError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Commands(streams.Group, AppGroup):
    """A group of commands, none of which ends with a traceback for what an operator can mend.

    :param reading: commands that only read; the audit records every other.
    """

    def __init__(self, *arguments: Any, reading: Collection[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reading = frozenset(reading)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, and record its runs."""
        if cmd.callback is not None and cmd.name not in self._reading:
            cmd.callback = recorded(cmd.callback)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with sentences(), database.limited_command():
            return super().invoke(ctx)


@contextmanager
def sentences(advice: str = "") -> Iterator[None]:
    """Turn this plugin's errors, those of the database and of encodings into click's.

    :param advice: a sentence to append, except where the store is about to delete the dataset:
        nothing helps there.
    """
    try:
        yield
    except DatasetExpiring as error:
        raise click.ClickException(error.message) from error
    except (DatabaseBusy, *database.REFUSALS) as error:
        raise click.ClickException(f"{database_sentence(error)} {advice}".rstrip()) from error
    except SignedURLError as error:
        raise click.ClickException(f"{error.message} {advice}".rstrip()) from error
    except UnicodeEncodeError as error:
        # What a shell makes of bytes that are not UTF-8, which no database takes.
        sentence = f"{error.object[:80]!a} is no text in {error.encoding}."
        raise click.ClickException(sentence) from error


def database_sentence(error: Exception) -> str:
    """Return a sentence for operators about an error of the database, with the driver's message."""
    cause = error.__cause__ if isinstance(error, DatabaseBusy) else error
    reason = f" ({database.driver_message(cause)})" if isinstance(cause, Exception) else ""
    advice = error.advice if isinstance(error, DatabaseBusy) else database.advice(error)
    return f"The database refused{reason}: {advice}."
