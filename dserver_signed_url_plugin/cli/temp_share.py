"""`flask temp_share …`: shares files temporarily with people who have no account.

Parses options and sets exit codes. Names and URLs go to stdout; progress and remarks to stderr.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from dserver_signed_url_plugin.cli import deposit_link
from dserver_signed_url_plugin.cli.commands import Commands, json_option, sentences
from dserver_signed_url_plugin.cli.durations import SECOND, whole
from dserver_signed_url_plugin.cli.file_urls import url
from dserver_signed_url_plugin.cli.interruptions import explained_interruption
from dserver_signed_url_plugin.cli.progress_bar import byte_counter, progress_bar
from dserver_signed_url_plugin.cli.stream_source import (
    ArchiveCommand,
    StreamSource,
    stream_options,
    stream_source,
)
from dserver_signed_url_plugin.cli.temp_share_deposits import end, list_deposits
from dserver_signed_url_plugin.cli.usage_errors import usage
from dserver_signed_url_plugin.deposits import local_files
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

temp_share = Commands(
    "temp_share",
    help="Share files temporarily with people who have no account.",
    reading={"list"},
)
temp_share.add_command(url)
temp_share.add_command(list_deposits)
temp_share.add_command(end)

_NOT_BEGUN, _NOT_KEPT = "Nothing was begun.", "Nothing of it was kept."
_RESUMABLE = "`flask pending_upload list` shows what was begun; the same command goes on with it."


@temp_share.command("create", cls=ArchiveCommand)
@click.argument("base_uri", metavar="BASE_URI")
@click.argument(
    "paths",
    metavar="FILE_OR_DIR...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, allow_dash=True),
)
@click.option("--name", help="Name of the dataset; by default that of the first file or directory.")
@stream_options
@click.option("--urls", "with_urls", is_flag=True, help="Also print a URL for each file.")
@click.option(
    "--expires",
    "-e",
    type=whole(SECOND, least=1),
    metavar="DURATION",
    help="How long the link works: 600 (seconds), 90m, 24h or 7d; by default 600. URLs are valid "
    "for seven days at most.",
)
@json_option
def create(
    base_uri: str,
    paths: Sequence[str],
    name: str | None,
    relpath: str | None,
    archive: str | None,
    expires: int | None,
    *,
    with_urls: bool,
    as_json: bool,
) -> None:
    """Deposit files below BASE_URI, and print one link to them.

    Anybody who has the link can see and download the files until it ends, without an account. They
    are deposited as a dataset. All files of a directory are shared, under the directory's name;
    with --archive, one archive of them. '-' is standard input, under the name that --as gives it.
    dserver must know BASE_URI.

    The link begins with SIGNED_URL_PUBLIC_URL. Without this setting a URL is printed for each file,
    as --urls does after the link; such a URL cannot be revoked.

    If it is interrupted, run the same command again to resume; what is stored, also of a large
    file that is sent in parts, is not sent again. Once it has completed, the same command makes
    another share. Standard input and archives cannot be resumed: if they are interrupted, nothing
    of them is kept. They may have up to 5 TiB by default, and need 256 MiB of memory; very large
    ones need more. What is piped by a command that fails is shared as far as it came: use
    `set -o pipefail`, and end the share if the pipe failed.

    Exit code: 0; 1 if something failed; 2 if an argument cannot be used; 130 if interrupted.

    \b
    Example:
      flask temp_share create s3://tempstore temporary_file.txt --expires 600
      flask temp_share create s3://tempstore results/ --archive
      pg_dump lab | flask temp_share create s3://tempstore - --as lab.sql
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with usage(), explained_interruption(_NOT_BEGUN):
        seconds, base = deposit_link.seconds(expires), BaseURI.parse(base_uri)
        source = stream_source(paths, relpath, archive)
    if source is None:
        uri = _deposited_files(base, name, [Path(path) for path in paths])
    else:
        uri = _deposited_stream(base, name, source)
    click.echo(f"Shared as {uri}.", err=True)
    advice = f"The files are stored: {deposit_link.remedy(uri)}."
    with sentences(advice), explained_interruption(advice):
        deposit_link.make(uri, seconds, with_urls=with_urls, as_json=as_json)


def _deposited_files(base: BaseURI, name: str | None, paths: Sequence[Path]) -> DatasetURI:
    deposits = services().deposits
    with usage(), explained_interruption(_NOT_BEGUN):
        name = name or local_files.dataset_name(paths[0])
        prepared = deposits.prepare(base, name, local_files.found(paths), progress_bar)
    with _unreadable(_RESUMABLE), explained_interruption(_RESUMABLE):
        return deposits.carry_out(prepared, progress_bar)


def _deposited_stream(base: BaseURI, name: str | None, source: StreamSource) -> DatasetURI:
    streams = services().streams
    with usage(), explained_interruption(_NOT_BEGUN):
        name = name or local_files.dataset_name(Path(source.relpath))
        prepared = streams.prepare(base, name, source.relpath)
    with (
        _unreadable(_NOT_KEPT),
        explained_interruption(_NOT_KEPT),
        byte_counter("Sending") as count,
    ):
        return streams.carry_out(prepared, source.blocks, count)


@contextmanager
def _unreadable(consequence: str) -> Iterator[None]:
    """Turn a file that can no longer be read into a sentence about the consequence."""
    try:
        yield
    except local_files.UnusableFile as error:
        raise click.ClickException(f"{error.message} {consequence}") from error
