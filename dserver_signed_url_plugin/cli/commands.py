"""The base of all command groups: whatever goes wrong, a command ends with a sentence and 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.cli import streams
from dserver_signed_url_plugin.errors import DatasetExpiring, SignedURLError


class Commands(streams.Group, AppGroup):
    """A group of commands, none of which ends with a traceback for what an operator can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with sentences(), database.limited_command():
            return super().invoke(ctx)


@contextmanager
def sentences(advice: str = "") -> Iterator[None]:
    """Turn this plugin's errors and those of the database into click's.

    :param advice: a sentence to append, except where the store is about to delete the dataset:
        nothing helps there.
    """
    try:
        yield
    except DatasetExpiring as error:
        raise click.ClickException(error.message) from error
    except SignedURLError as error:
        raise click.ClickException(f"{error.message} {advice}".rstrip()) from error
    except database.REFUSALS as error:
        raise click.ClickException(
            f"The database refused ({database.driver_message(error)}): {database.advice(error)}. "
            f"{advice}".rstrip()
        ) from error
