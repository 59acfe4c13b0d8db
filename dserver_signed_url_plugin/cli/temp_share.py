"""`flask temp_share …`: shares files temporarily with people who have no account.

Parses options and sets exit codes. Names and URLs go to stdout; progress and remarks to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from dserver_signed_url_plugin.cli.commands import Commands, sentences
from dserver_signed_url_plugin.cli.durations import SECOND, whole
from dserver_signed_url_plugin.cli.progress_bar import progress_bar
from dserver_signed_url_plugin.errors import InvalidField, LifetimeTooLong
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares import local_files
from dserver_signed_url_plugin.shares.file_urls import SharedFile, SharedFiles
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

temp_share = Commands("temp_share", help="Share files temporarily with people who have no account.")

_INTERRUPTED = 130
_RESUMABLE = "`flask pending_upload list` shows what was begun; the same command goes on with it."

Command = TypeVar("Command", bound=Callable[..., None])


def _share_options(command: Command) -> Command:
    """Add the options that both commands have."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--expires",
            "-e",
            type=whole(SECOND, least=1),
            metavar="DURATION",
            help="How long the URLs are valid: 600 (seconds), 90m, 24h or 7d; by default 600, or "
            "the server's maximum if that is less.",
        ),
    ):
        command = option(command)
    return command


@temp_share.command("create")
@click.argument("base_uri", metavar="BASE_URI")
@click.argument(
    "paths",
    metavar="FILE_OR_DIR...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--name", help="Name of the dataset; by default that of the first file or directory.")
@_share_options
def create(
    base_uri: str, paths: Sequence[Path], name: str | None, expires: int | None, *, as_json: bool
) -> None:
    """Deposit files as a dataset below BASE_URI, and print a URL for each.

    Anybody who has a URL can download the file until the URL expires, without an account. All
    files of a directory are shared, under the directory's name. dserver must know BASE_URI.

    If it is interrupted, run the same command again to resume; what is stored, also of a large
    file that is sent in parts, is not sent again. Once it has completed, the same command makes
    another share.

    Exit code: 0; 1 if something failed; 2 if an argument cannot be used; 130 if interrupted.

    \b
    Example:
      flask temp_share create s3://tempstore temporary_file.txt --expires 600
    """  # noqa: D301 (click looks for the character itself, not for its name)
    deposits, sharing = services().deposits, services().file_urls
    with _usage(), _interruption("Nothing was begun."):
        seconds = sharing.seconds(expires)
        base, found = BaseURI.parse(base_uri), local_files.found(paths)
        name = name or local_files.dataset_name(paths[0])
        prepared = deposits.prepare(base, name, found, progress_bar)
    with _unreadable(), _interruption(_RESUMABLE):
        uri = deposits.carry_out(prepared, progress_bar)
        click.echo(f"Shared as {uri}.", err=True)
    advice = f"The files are stored: `flask temp_share url {uri}` makes their URLs."
    with sentences(advice), _interruption(advice):
        _show(sharing.first_urls(uri, seconds), as_json=as_json)


@temp_share.command("url")
@click.argument("uri", metavar="URI")
@click.option(
    "--item", "relpaths", metavar="RELPATH", multiple=True, help="Only this item; may be repeated."
)
@_share_options
def url(uri: str, relpaths: Sequence[str], expires: int | None, *, as_json: bool) -> None:
    """Print new URLs for the dataset URI, which dserver must know.

    \b
    Example:
      flask temp_share url s3://tempstore/550e8400-e29b-41d4-a716-446655440000 --expires 3600
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with _usage():
        sharing = services().file_urls
        share = sharing.urls(DatasetURI.parse(uri), relpaths, sharing.seconds(expires))
    _show(share, as_json=as_json)


def _show(share: SharedFiles, *, as_json: bool) -> None:
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
def _usage() -> Iterator[None]:
    """Turn errors about arguments into usage errors."""
    try:
        yield
    except LifetimeTooLong as error:
        most = services().settings.max_read_expiry
        raise click.BadParameter(
            f"must be at most {most}, which is SIGNED_URL_MAX_READ_EXPIRY_SECONDS.",
            param_hint="--expires",
        ) from error
    except (InvalidField, local_files.UnusableFile) as error:
        raise click.UsageError(error.message) from error


@contextmanager
def _unreadable() -> Iterator[None]:
    """Turn a file that can no longer be read into a sentence about resuming."""
    try:
        yield
    except local_files.UnusableFile as error:
        raise click.ClickException(f"{error.message} {_RESUMABLE}") from error


@contextmanager
def _interruption(consequence: str) -> Iterator[None]:
    """Turn Ctrl-C into a sentence about its consequence, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Interrupted. {consequence}", err=True)
        sys.exit(_INTERRUPTED)
