"""Commands about links to datasets for people without an account: create, list and revoke them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.display.formats import count_text, table
from dserver_client.errors import Refused
from dserver_client.values import Share

_NOTE_CHARACTERS = 40
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_LIMITS = {
    "lifecycle": ", when the store may delete the dataset",
}
_STATES = {
    "revoked": "revoked",
    "used-up": "used up",
    "unavailable": "its dataset is not available",
}


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


def _at_least_one(_ctx: click.Context, _param: click.Parameter, number: int | None) -> int | None:
    # As click.IntRange does, whose range in the help looks like a formula.
    if number is not None and number < 1:
        raise click.BadParameter("must be at least 1.")
    return number


@click.command()
@click.argument("uri")
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="GLOB",
    help="Share only files with this relpath, or that match it, such as `images/*.tif`; may be "
    "repeated.",
)
@click.option(
    "--expires",
    "expires_in",
    type=Duration(),
    metavar="DURATION",
    help="How long the link works: 90m, 24h or 7d; by default 7d, or dserver's maximum if that "
    "is less.",
)
@click.option(
    "--downloads",
    "max_downloads",
    type=int,
    callback=_at_least_one,
    metavar="N",
    help="How many downloads of files it allows, of all files together; by default any number.",
)
@click.option("--note", metavar="TEXT", help="What it is for; whoever has the link can read it.")
@command_options
def share(session: Session, *, uri: str, items: tuple[str, ...], **options: Any) -> None:
    """Create a link to a dataset.

    Whoever has the link can look at the dataset, or some files of it, and download them without an
    account, in a browser or with `dserver get LINK`. The link is shown only once; `dserver shares`
    lists what you share, and `dserver unshare` revokes a link.
    """
    made = session.client(uri).share(uri, items=items or None, **options)
    session.output.result(made, _text(made))


@click.command()
@click.argument("uri", required=False)
@command_options
def shares(session: Session, *, uri: str | None) -> None:
    """List links to datasets, the newest first.

    These are your links, or those of everybody if you are an administrator of dserver; with URI,
    only those to this dataset. The links themselves are not known any more.
    """
    client = session.client(uri)
    if uri is not None:
        uri = None if session.names_only_a_server(uri) else client.dataset_uri(uri)
    found = list(client.server.shares(uri))
    session.output.result({"shares": found}, _list(found))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@command_options
def unshare(session: Session, *, ids: tuple[str, ...]) -> None:
    """Revoke links to datasets, by their IDs.

    `dserver shares` lists the IDs. A link that has ended already is no error.
    """
    server = session.client().server
    revoked: list[str] = []
    unknown: list[str] = []
    for share_id in dict.fromkeys(ids):
        try:
            server.end_share(share_id)
            revoked.append(share_id)
        except Refused as refused:
            if refused.status != 404:
                raise
            unknown.append(share_id)
    if unknown:
        named = ", ".join(map(repr, unknown))
        message = f"You have no link with the ID {named}. {_revoked(revoked)}"
        details: dict[str, object] = {"ids": unknown, "revoked": revoked}
        raise Refused(message, 404, "share-not-found", details)
    session.output.result({"revoked": revoked}, _revoked(revoked))


def _revoked(ids: Sequence[str]) -> str:
    return f"{count_text(len(ids), 'link')} revoked."


def _text(made: Share) -> str:
    lines = [f"{made.link}"]
    if made.expires is not None:
        reason = _LIMITS.get(made.limited_by or "", "")
        lines.append(f"It works until {_time(made.expires)}{reason}.")
    lines.append(f"'dserver unshare {made.id}' ends it earlier.")
    return "\n".join(lines)


def _list(found: Sequence[Share]) -> str:
    return table(map(_row, found)) if found else "No links."


def _row(found: Share) -> tuple[str, ...]:
    return (
        found.id,
        _state(found),
        _downloads(found),
        found.uri,
        found.name or "",
        _short(found.note or ""),
    )


def _downloads(found: Share) -> str:
    downloads = found.downloads or 0
    if found.max_downloads is None:
        return count_text(downloads, "download")
    return f"{downloads:,} of {count_text(found.max_downloads, 'download')}"


def _short(note: str) -> str:
    """Return the beginning of a note, in quotes."""
    first, *more = note.splitlines() or [""]
    cut = first[:_NOTE_CHARACTERS]
    return f'"{cut}{"…" if more or cut != first else ""}"' if note else ""


def _state(found: Share) -> str:
    if found.state in ("active", "expired") and found.expires is not None:
        words = "works until" if found.state == "active" else "expired"
        return f"{words} {_time(found.expires)}"
    return _STATES.get(found.state or "", "")


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
