"""`flask temp_share …`: files for people without an account, for a while.

Knows options, words and exit codes. Names and URLs go to stdout; progress and remarks to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from flask.cli import AppGroup

from dserver_signed_url_plugin import files
from dserver_signed_url_plugin.errors import InvalidField, LifetimeTooLong, SignedURLError
from dserver_signed_url_plugin.schemas import utc
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.sharing import Share
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

temp_share = AppGroup("temp_share", help="Share files for a while, with people without account.")

_INTERRUPTED = 130

Command = TypeVar("Command", bound=Callable[..., None])


def _sharing(command: Command) -> Command:
    """Give a command what both have."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
        click.option(
            "--expires",
            "-e",
            type=click.IntRange(min=1),
            default=600,
            show_default=True,
            metavar="SECONDS",
            help="How long the URLs live.",
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
@click.option("--name", help="The dataset's name; by default that of the first file or directory.")
@_sharing
def create(
    base_uri: str, paths: Sequence[Path], name: str | None, expires: int, as_json: bool
) -> None:
    """Deposit files as a dataset below BASE_URI, and print a URL for each.

    Whoever has a URL can fetch the file as long as the URL lives, and needs no account. Of a
    directory all files are shared, named below its own name. dserver must know BASE_URI.

    Interrupted, the same command goes on with what was begun; once it has ended, it makes another
    share.

    Exit code: 0; 1 if something failed; 2 if an argument cannot be used; 130 if interrupted.

    \b
    Example:
      flask temp_share create s3://tempstore temporary_file.txt --expires 600
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with _sentences():
        uri = BaseURI.parse(base_uri)
        found = files.found(paths)
        name = name or files.dataset_name(paths[0])
        share = services().sharing.create(uri, name, found, expires, _bar)
    click.echo(f"Shared as {share.uri}.", err=True)
    _show(share, expires, as_json)


@temp_share.command("url")
@click.argument("uri", metavar="URI")
@click.option(
    "--item", "relpaths", metavar="RELPATH", multiple=True, help="Only this; may be repeated."
)
@_sharing
def url(uri: str, relpaths: Sequence[str], expires: int, as_json: bool) -> None:
    """Print new URLs for the dataset URI, which dserver must know.

    \b
    Example:
      flask temp_share url s3://tempstore/550e8400-e29b-41d4-a716-446655440000 --expires 3600
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with _sentences():
        share = services().sharing.urls(DatasetURI.parse(uri), relpaths, expires)
    _show(share, expires, as_json)


def _show(share: Share, asked: int, as_json: bool) -> None:
    life = share.life
    if life.limited_by is not None:
        click.echo(
            f"The URLs live {life.seconds} seconds, not {asked}: limited by {life.limited_by}.",
            err=True,
        )
    click.echo(json.dumps(_facts(share), indent=2) if as_json else "\n".join(_lines(share)))


def _lines(share: Share) -> Iterator[str]:
    for file in share.files:
        # No line and no column is made by what somebody else called an item.
        name = file.relpath if file.relpath.isprintable() else ascii(file.relpath)
        yield f"{name}\t{file.url}"
    yield f"These URLs end at {share.life.ends:%Y-%m-%d %H:%M:%S} UTC."


def _facts(share: Share) -> dict[str, Any]:
    life = share.life
    limited = {} if life.limited_by is None else {"expiry_limited_by": life.limited_by}
    return {
        "uri": str(share.uri),
        "uuid": share.uri.uuid,
        "expiry_seconds": life.seconds,
        "expiry_timestamp": utc(life.ends),
        **limited,
        "files": [vars(file) for file in share.files],
    }


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn whatever may happen into a sentence and an exit code."""
    try:
        yield
    except LifetimeTooLong as error:
        most = services().settings.max_read_expiry
        raise click.BadParameter(
            f"must be at most {most}, which is SIGNED_URL_MAX_READ_EXPIRY_SECONDS.",
            param_hint="--expires",
        ) from error
    except (InvalidField, files.UnusableFile) as error:
        raise click.UsageError(error.message) from error
    except SignedURLError as error:
        raise click.ClickException(error.message) from error
    except KeyboardInterrupt:
        click.echo(
            "Interrupted. The same command goes on with what was begun, which `flask "
            "pending_upload list` shows.",
            err=True,
        )
        sys.exit(_INTERRUPTED)


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on a terminal, and the label alone in a log."""
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield bar.update
