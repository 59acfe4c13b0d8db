"""The command that makes links to datasets for people without an account."""

from __future__ import annotations

import re

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.values import Share

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType[int]):
    """A duration such as ``90m``, ``24h`` or ``7d``, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the seconds."""
        found = re.fullmatch(r"([0-9]{1,6})([mhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration, such as 90m, 24h or 7d.", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.argument("uri")
@click.option(
    "--item", "items", multiple=True, metavar="RELPATH", help="Only this file; may be repeated."
)
@click.option(
    "--expires",
    type=Duration(),
    help="When the link expires: 90m, 24h or 7d.  [default: dserver's]",
)
@click.option(
    "--max-downloads", type=click.IntRange(1), metavar="N", help="How often it can be used."
)
@click.option("--note", metavar="TEXT", help="What it is for; you see it in lists.")
@command_options
def share(
    session: Session,
    *,
    uri: str,
    items: tuple[str, ...],
    expires: int | None,
    max_downloads: int | None,
    note: str | None,
) -> None:
    """Make a link to a dataset.

    Whoever has the link can download the dataset, or some files of it, without an account, until
    it expires. It is shown only once. Many dservers do not support links.
    """
    client = session.client(uri)
    made = client.server.share(
        client.dataset_uri(uri),
        items=items or None,
        expires_in=expires,
        max_downloads=max_downloads,
        note=note,
    )
    session.output.result(made, _text(made))


def _text(made: Share) -> str:
    ends = "" if made.expires is None else f"\nIt expires at {made.expires:%Y-%m-%d %H:%M} UTC."
    return f"{made.link}{ends}"
