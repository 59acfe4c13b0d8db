"""The command `flask signed_url verify`: its options, exit codes and output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.cli.commands import json_option
from dserver_signed_url_plugin.cli.interruptions import explained_interruption
from dserver_signed_url_plugin.cli.output import printable, table, time_text
from dserver_signed_url_plugin.cli.progress_bar import progress_bar
from dserver_signed_url_plugin.errors import InvalidField, StorageAway
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.uris import DatasetURI
from dserver_signed_url_plugin.verification import journal
from dserver_signed_url_plugin.verification.comparison import ComparedItem, Content, Result
from dserver_signed_url_plugin.verification.journal import JournalNotWritable
from dserver_signed_url_plugin.verification.service import Report, Scope

_RESUMABLE = "The same command goes on where it stopped."
_HEADER = ("RESULT", "MANIFEST", "STORE", "ITEM")


@click.command("verify")
@click.argument("uri", metavar="URI")
@click.option("--items", "match", metavar="GLOB", help="Only items whose relpath matches.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only N of them, chosen at random anew by every run.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to note what was read, so that an interrupted run can go on; by default a file of "
    "this dataset below ~/.cache, if that can be written.",
)
@click.option("--restart", is_flag=True, help="Read again what an interrupted run has read.")
@json_option
@with_appcontext
def verify(
    uri: str,
    match: str | None,
    sample: int | None,
    state: Path | None,
    *,
    restart: bool,
    as_json: bool,
) -> None:
    """Read every byte of a dataset, and compare it with the manifest.

    Sizes and MD5s are compared. Items are read through signed URLs, eight at a time, and nothing is
    kept of them but which are equal. If the command is interrupted, or the store stops answering,
    the same command goes on where it stopped, for seven days, but for a sample; an item that was
    half read is read again.
    When all items have been read, the next run begins anew. --items takes a pattern of Python's
    fnmatch: case counts, and an asterisk also matches slashes.

    \b
    Exit code:
      0    every item is equal
      1    an item differs, is missing, cannot be read, or has no MD5 in the manifest;
           or the dataset could not be read to its end
      2    nothing was read: an argument cannot be used
      130  interrupted; 143 by SIGTERM, 129 by the end of the terminal

    \b
    Example, for cron:
      flask signed_url verify s3://my-bucket/550e8400-e29b-41d4-a716-446655440000 --sample 100
    """  # noqa: D301 (click looks for the character itself, not for its name)
    with _ended_with_advice(""):
        dataset = DatasetURI.parse(uri)
    report = _verified(dataset, Scope(match, sample), state, restart=restart)
    click.echo(json.dumps(_facts(report), indent=2) if as_json else "\n".join(_lines(report)))
    if not report.is_equal:
        sys.exit(1)


def _verified(uri: DatasetURI, scope: Scope, state: Path | None, *, restart: bool) -> Report:
    """Verify a dataset, without a journal only where the default one cannot be written."""
    verifications = services().verifications
    if scope.sample is None:
        try:
            with _ended_with_advice(_RESUMABLE):
                path = state or journal.default_path(uri)
                return verifications.verify(uri, scope, progress_bar, path, restart=restart)
        except JournalNotWritable as error:
            if state is not None:
                raise
            click.echo(f"This run cannot go on after an interruption. {error.message}", err=True)
    with _ended_with_advice(""):
        return verifications.verify(uri, scope, progress_bar)


@contextmanager
def _ended_with_advice(advice: str) -> Iterator[None]:
    """Turn what ends a verification early into click's errors; ``advice`` says how to go on."""
    try:
        with explained_interruption(advice):
            yield
    except InvalidField as error:
        argument = "--items" if error.field == "items" else "URI"
        raise click.BadParameter(error.reason, param_hint=argument) from error
    except StorageAway as error:
        raise click.ClickException(f"{error.message} {advice}".rstrip()) from error


def _facts(report: Report) -> dict[str, Any]:
    return {
        "uri": str(report.uri),
        "equal": report.is_equal,
        "items": report.items,
        "selected": report.selected,
        "resumed": report.resumed,
        "began_at": timestamp(report.began_at),
        "bytes_read": report.size_in_bytes,
        "counts": {result.value: report.counts[result] for result in Result},
        "differences": [
            {
                "identifier": compared.item.identifier,
                "relpath": compared.item.relpath,
                "result": compared.result.value,
                "expected": {
                    "size_in_bytes": compared.item.size_in_bytes,
                    "hash": compared.item.hash,
                },
                "found": None
                if compared.found is None
                else {"size_in_bytes": compared.found.size_in_bytes, "hash": compared.found.md5},
                "reason": compared.reason or None,
            }
            for compared in _sorted(report)
        ],
    }


def _lines(report: Report) -> Iterator[str]:
    """Yield the report for people: a table of what is not equal, and a sentence."""
    rows = [_HEADER, *map(_row, _sorted(report))]
    if len(rows) > 1:
        yield from table(rows)
        yield ""
    counts = ", ".join(
        f"{report.counts[one]:,} {one.value}" for one in Result if report.counts[one]
    )
    of_all = "" if report.selected == report.items else f"{report.selected:,} of "
    yield f"{report.uri}: {of_all}{counted(report.items, 'item')}: {counts or 'nothing to read'}."
    if report.resumed:
        began = time_text(report.began_at)
        yield f"{report.resumed:,} of them were read by the run that began at {began}."


def _row(compared: ComparedItem) -> Sequence[str]:
    item = compared.item
    name = printable(item.relpath)
    expected = f"{_size(item.size_in_bytes)} {_short(item.hash)}"
    return (compared.result.value, expected, compared.reason or _found(compared.found), name)


def _found(content: Content | None) -> str:
    return "" if content is None else f"{_size(content.size_in_bytes)} {_short(content.md5)}"


def _size(size: int | None) -> str:
    return "? bytes" if size is None else f"{size:,} bytes"


def _short(digest: str | None) -> str:
    """Return as much of a hash as a column can hold, with nothing that is not printable."""
    return "" if not digest else ascii(digest[:32])[1:-1]


def _sorted(report: Report) -> list[ComparedItem]:
    return sorted(report.compared, key=lambda compared: compared.item.relpath)
