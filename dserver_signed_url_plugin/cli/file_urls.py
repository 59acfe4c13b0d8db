"""URLs of files as commands print them, and `flask temp_share url`, which makes new ones.

Names and URLs go to stdout; remarks to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.cli.durations import SECOND, whole
from dserver_signed_url_plugin.errors import InvalidField, LifetimeTooLong
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.file_urls import SharedFile, SharedFiles
from dserver_signed_url_plugin.shares.local_files import UnusableFile
from dserver_signed_url_plugin.uris import DatasetURI

expires_option = click.option(
    "--expires",
    "-e",
    type=whole(SECOND, least=1),
    metavar="DURATION",
    help="How long the URLs are valid: 600 (seconds), 90m, 24h or 7d; by default 600, or "
    "the server's maximum if that is less.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("url")
@click.argument("uri", metavar="URI")
@click.option(
    "--item", "relpaths", metavar="RELPATH", multiple=True, help="Only this item; may be repeated."
)
@expires_option
@json_option
@with_appcontext
def url(uri: str, relpaths: Sequence[str], expires: int | None, *, as_json: bool) -> None:
    """Print new URLs for the dataset URI, which dserver must know.

    \b
    Example:
      flask temp_share url s3://tempstore/550e8400-e29b-41d4-a716-446655440000 --expires 3600
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with usage():
        sharing = services().file_urls
        share = sharing.urls(DatasetURI.parse(uri), relpaths, sharing.seconds(expires))
    show(share, as_json=as_json)


def show(share: SharedFiles, *, as_json: bool) -> None:
    """Print names and URLs, and what limits their life."""
    life = share.life
    if life.limited_by is not None:
        click.echo(
            f"The URLs live {life.seconds} seconds, not {share.requested}: limited by "
            f"{life.limited_by}.",
            err=True,
        )
    if share.may_go:
        click.echo(
            "The store's lifecycle rules cannot be read, and may delete the files earlier: the "
            "server needs s3:GetLifecycleConfiguration.",
            err=True,
        )
    if as_json:
        shared = [vars(file) for file in share.files]
        facts = {"uri": str(share.uri), **life.as_answer(), "uuid": share.uri.uuid, "files": shared}
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo("\n".join(map(_line, share.files)))
    click.echo(f"These URLs end at {life.ends:%Y-%m-%d %H:%M:%S} UTC.", err=True)


def _line(file: SharedFile) -> str:
    # A name that somebody else chose must not add lines or columns.
    name = file.relpath if file.relpath.isprintable() else ascii(file.relpath)
    return f"{name}\t{file.url}"


@contextmanager
def usage() -> Iterator[None]:
    """Turn errors about arguments into usage errors."""
    try:
        yield
    except LifetimeTooLong as error:
        most = services().settings.max_read_expiry
        raise click.BadParameter(
            f"must be at most {most}, which is SIGNED_URL_MAX_READ_EXPIRY_SECONDS.",
            param_hint="--expires",
        ) from error
    except (InvalidField, UnusableFile) as error:
        raise click.UsageError(error.message) from error
