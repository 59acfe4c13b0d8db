"""What all commands have in common: whatever goes wrong, they end with a sentence and with 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.errors import DatasetExpiring, SignedURLError


class Commands(AppGroup):
    """A group of commands, none of which ends with a traceback for what an operator can mend."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run one of them."""
        with sentences(), database.limited_command():
            return super().invoke(ctx)


@contextmanager
def sentences(advice: str = "") -> Iterator[None]:
    """Turn errors of this plugin, and what the database refuses, into what click tells.

    :param advice: what to do then, whatever it was; but nothing helps what the store lets go.
    """
    try:
        yield
    except DatasetExpiring as error:
        raise click.ClickException(error.message) from error
    except SignedURLError as error:
        raise click.ClickException(f"{error.message} {advice}".rstrip()) from error
    except database.REFUSALS as error:
        raise click.ClickException(
            f"The database refused ({database.words(error)}): {database.advice(error)}. "
            f"{advice}".rstrip()
        ) from error
