"""The command that compares a dataset, in the store or in a directory, with its manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.display.formats import count_text, one_line, size_text
from dserver_client.errors import VerificationFailed
from dserver_client.values import Verified

# How many files an error names; all of them are in its document.
_NAMED = 10


@click.command()
@click.argument("uri", metavar="URI|LINK")
@click.argument(
    "directory", required=False, type=click.Path(file_okay=False, exists=True, path_type=Path)
)
@click.option(
    "--full", is_flag=True, help="Read all bytes and compare MD5s, instead of what the store says."
)
@click.option(
    "--names",
    type=click.Choice(["strict", "safe"]),
    default="strict",
    show_default=True,
    help="For DIRECTORY, as when it was fetched.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@command_options
def verify(
    session: Session, *, uri: str, directory: Path | None, quiet: bool, **options: Any
) -> None:
    """Compare a dataset with its manifest.

    Without DIRECTORY, what the store has is compared; with it, what was fetched there. Sizes are
    compared, and MD5s that the store knows; with --full, all bytes are read. Files in DIRECTORY
    that are not in the dataset are ignored. With a LINK, which needs no login, there must be a
    DIRECTORY. Exits with status 8 if something differs.
    """
    client = session.client(uri)
    found = client.verify(uri, directory, progress=session.progress(quiet=quiet), **options)
    differing = _differing(found)
    if differing:
        raise VerificationFailed(_sentence(found, differing), differing, asdict(found))
    session.output.result(found, _summary(found))


def _differing(found: Verified) -> dict[str, str]:
    return {
        **dict.fromkeys(found.missing, "missing"),
        **dict.fromkeys(found.wrong_size, "another size"),
        **dict.fromkeys(found.wrong_hash, "another MD5"),
    }


def _sentence(found: Verified, differing: dict[str, str]) -> str:
    verb = "differs" if len(differing) == 1 else "differ"
    lines = [f"{len(differing):,} of {count_text(found.items, 'file')} {verb}:"]
    named = list(differing.items())[:_NAMED]
    lines += [f"  {one_line(relpath)}: {what}" for relpath, what in named]
    if len(differing) > _NAMED:
        lines.append(f"  and {len(differing) - _NAMED:,} more (--json names all)")
    return "\n".join(lines)


def _summary(found: Verified) -> str:
    total = f"{count_text(found.items, 'file')}, {size_text(found.size_in_bytes)}"
    if found.hashes_compared == found.items:
        return f"{total}: all sizes and MD5s match the manifest."
    matching = f" and {found.hashes_compared:,} MD5s" if found.hashes_compared else ""
    others = "Other MD5s" if matching else "MD5s"
    return f"{total}: all sizes{matching} match the manifest. {others} are compared with --full."
