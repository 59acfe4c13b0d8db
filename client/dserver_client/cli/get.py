"""The command that fetches a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.interruption import resumable
from dserver_client.cli.session import Session
from dserver_client.display.formats import count_text, size_text
from dserver_client.errors import FilesExist
from dserver_client.values import Fetched

_RESUMES = "What has been fetched is kept: the same command resumes."


@click.command()
@click.argument("uri", metavar="URI|LINK")
@click.argument(
    "destination",
    metavar="[DEST]",
    required=False,
    type=click.Path(file_okay=False, path_type=Path),
)
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="GLOB",
    help="Fetch only files with this relpath, or that match it, such as 'images/?.tif'; may be "
    "repeated.",
)
@click.option("--dtool", "as_dataset", is_flag=True, help="Make DEST a dataset that dtool reads.")
@click.option(
    "--names",
    type=click.Choice(["strict", "safe"]),
    default="strict",
    show_default=True,
    help="Of names that this file system cannot hold: refuse them before anything is fetched, or "
    "change them.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there and differ.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@command_options
def get(
    session: Session,
    *,
    uri: str,
    destination: Path | None,
    items: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Fetch a dataset, or what is behind the link of a share.

    Each file is saved under its relpath, its path in the dataset, in the directory DEST, after it
    has been checked against its MD5; without DEST, in a directory with the name of the dataset.
    Files that are already there are not fetched again. After an interruption, the same command
    resumes. A LINK needs no login.
    """
    client = session.client(uri)
    with resumable(_RESUMES), _overwriting_offered():
        fetched = client.fetch(
            uri,
            destination,
            items=items or None,
            progress=session.progress(quiet=quiet),
            **options,
        )
    session.output.result(fetched, _summary(fetched))


def _summary(fetched: Fetched) -> str:
    total = f"{count_text(fetched.items, 'file')}, {size_text(fetched.size_in_bytes)}"
    there = f"; {_already_there(fetched.already_there)}" if fetched.already_there else ""
    return f"{fetched.directory}: {total}, verified{there}."


def _already_there(number: int) -> str:
    return f"{count_text(number, 'file')} {'was' if number == 1 else 'were'} already there"


@contextmanager
def _overwriting_offered() -> Iterator[None]:
    """Name the option that replaces files, where it does."""
    try:
        yield
    except FilesExist as error:
        if error.replaceable:
            error.args = (f"{error} --overwrite replaces {_them(len(error.items))}.",)
        raise


def _them(number: int) -> str:
    return "it" if number == 1 else "them"
