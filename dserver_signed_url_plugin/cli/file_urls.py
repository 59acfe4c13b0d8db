"""URLs of files as commands print them, and `flask temp_share url`, which makes new ones.

Names and URLs go to stdout; remarks to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.cli.commands import json_option
from dserver_signed_url_plugin.cli.durations import SECOND, whole
from dserver_signed_url_plugin.cli.output import printable
from dserver_signed_url_plugin.cli.unreadable_rules import UNREADABLE_RULES
from dserver_signed_url_plugin.cli.usage_errors import usage
from dserver_signed_url_plugin.deposits.file_urls import SharedFile, SharedFiles
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import DatasetURI


@click.command("url")
@click.argument("uri", metavar="URI")
@click.option(
    "--item", "relpaths", metavar="RELPATH", multiple=True, help="Only this item; may be repeated."
)
@click.option(
    "--expires",
    "-e",
    type=whole(SECOND, least=1),
    metavar="DURATION",
    help="How long the URLs are valid: 600 (seconds), 90m, 24h or 7d; by default 600, or "
    "the server's maximum if that is less.",
)
@json_option
@with_appcontext
def url(uri: str, relpaths: Sequence[str], expires: int | None, *, as_json: bool) -> None:
    """Print new URLs for the files of a registered dataset.

    \b
    Example:
      flask temp_share url s3://tempstore/550e8400-e29b-41d4-a716-446655440000 --expires 3600
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with usage():
        sharing = services().file_urls
        files = sharing.urls(DatasetURI.parse(uri), relpaths, sharing.seconds(expires))
    warn(files)
    if as_json:
        click.echo(json.dumps(facts(files), indent=2))
    else:
        show(files)


def show(files: SharedFiles) -> None:
    """Print names and URLs, and until when these are valid."""
    click.echo("\n".join(map(_line, files.files)))
    click.echo(f"These URLs end at {files.life.ends:%Y-%m-%d %H:%M:%S} UTC.", err=True)


def facts(files: SharedFiles) -> dict[str, Any]:
    """Return what JSON has of them."""
    shared = [vars(file) for file in files.files]
    return {
        "uri": str(files.uri),
        **files.life.as_answer(),
        "uuid": files.uri.uuid,
        "files": shared,
    }


def warn(files: SharedFiles) -> None:
    """Say what may end the URLs earlier than requested."""
    life = files.life
    if life.limited_by is not None:
        click.echo(
            f"The URLs live {life.seconds} seconds, not {files.requested}: limited by "
            f"{life.limited_by}.",
            err=True,
        )
    if files.may_go:
        click.echo(UNREADABLE_RULES, err=True)


def _line(file: SharedFile) -> str:
    return f"{printable(file.relpath)}\t{file.url}"
