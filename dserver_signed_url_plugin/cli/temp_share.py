"""`flask temp_share …`: shares files temporarily with people who have no account.

Parses options and sets exit codes. Names and URLs go to stdout; progress and remarks to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from dserver_signed_url_plugin.cli.commands import Commands, sentences
from dserver_signed_url_plugin.cli.file_urls import expires_option, json_option, show, url, usage
from dserver_signed_url_plugin.cli.progress_bar import progress_bar
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares import local_files
from dserver_signed_url_plugin.uris import BaseURI

temp_share = Commands("temp_share", help="Share files temporarily with people who have no account.")
temp_share.add_command(url)

_INTERRUPTED = 130
_RESUMABLE = "`flask pending_upload list` shows what was begun; the same command goes on with it."


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
@expires_option
@json_option
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
    with usage(), _interruption("Nothing was begun."):
        seconds = sharing.seconds(expires)
        base, found = BaseURI.parse(base_uri), local_files.found(paths)
        name = name or local_files.dataset_name(paths[0])
        prepared = deposits.prepare(base, name, found, progress_bar)
    with _unreadable(), _interruption(_RESUMABLE):
        uri = deposits.carry_out(prepared, progress_bar)
        click.echo(f"Shared as {uri}.", err=True)
    advice = f"The files are stored: `flask temp_share url {uri}` makes their URLs."
    with sentences(advice), _interruption(advice):
        show(sharing.first_urls(uri, seconds), as_json=as_json)


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
