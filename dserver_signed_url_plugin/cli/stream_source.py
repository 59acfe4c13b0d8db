"""What `flask temp_share create` shares as a stream: standard input, or a directory's archive."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dserver_signed_url_plugin.deposits import archives, local_files

STANDARD_INPUT = "-"
_ARCHIVE = "--archive"
_BLOCK = 256 * 1024  # bytes


@dataclass(frozen=True)
class StreamSource:
    """A stream of bytes, and the relpath of the item that it becomes."""

    relpath: str
    blocks: Iterable[bytes]


class ArchiveCommand(click.Command):
    """A command whose option ``--archive`` may go without a value, also before an argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give it the value that is the default, unless a format follows."""
        following = [*args[1:], ""]
        named = [
            f"{_ARCHIVE}={archives.DEFAULT}"
            if arg == _ARCHIVE and after not in archives.FORMATS
            else arg
            for arg, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, named)


def stream_options(command: Any) -> Any:
    """Add the options that make a stream of what is shared."""
    for option in (
        click.option(
            _ARCHIVE,
            "archive",
            type=click.Choice(list(archives.FORMATS)),
            help="Share one archive of a directory instead of its files; by default tar.zst.",
        ),
        click.option(
            "--as", "relpath", metavar="NAME", help="Name of the file that standard input becomes."
        ),
    ):
        command = option(command)
    return command


def stream_source(
    paths: Sequence[str], relpath: str | None, archive: str | None
) -> StreamSource | None:
    """Return the stream that is to be shared; None for files. Reads nothing of it.

    :raises click.UsageError: if the arguments contradict each other.
    :raises UnusableFile: if the directory cannot be read, or holds anything but files.
    """
    if STANDARD_INPUT in paths:
        return _standard_input(paths, relpath, archive)
    if relpath is not None:
        raise click.UsageError("--as names standard input, '-'; files keep their own names.")
    return None if archive is None else _archive(paths, archive)


def _standard_input(paths: Sequence[str], relpath: str | None, archive: str | None) -> StreamSource:
    if len(paths) > 1:
        raise click.UsageError("'-', standard input, is shared alone: omit the other paths.")
    if archive is not None:
        raise click.UsageError("--archive is for a directory, not for '-', standard input.")
    if relpath is None:
        raise click.UsageError("Standard input has no name: add --as NAME, as in --as scans.tar.")
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed.")
    if sys.stdin.isatty():
        raise click.UsageError(
            "Standard input is a terminal: pipe something into the command, or name a file."
        )
    return StreamSource(relpath, _blocks(sys.stdin.buffer))


def _archive(paths: Sequence[str], archive: str) -> StreamSource:
    if len(paths) > 1 or not Path(paths[0]).is_dir():
        raise click.UsageError("--archive is for one directory.")
    directory = Path(paths[0])
    files = local_files.found([directory])
    return StreamSource(
        f"{local_files.file_name(directory)}.{archive}", archives.archived(files, archive)
    )


def _blocks(stream: Any) -> Iterator[bytes]:
    try:
        # What there is, which may be less: a slow producer's bytes are counted when they come.
        while block := stream.read1(_BLOCK):
            yield block
    except OSError as error:
        raise local_files.UnusableFile(
            f"Standard input cannot be read: {error.strerror}."
        ) from error
