"""`flask signed_url report`: who deposited and read how much.

Parses options and formats the report, which goes to stdout.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import click
from flask.cli import with_appcontext

from dserver_signed_url_plugin.audit.report import Kind, ReportRow
from dserver_signed_url_plugin.cli.commands import json_option
from dserver_signed_url_plugin.cli.durations import SINCE, UNTIL, moment
from dserver_signed_url_plugin.cli.output import printable, table
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.services import services

_HEADER = ("WHO", "BASE URI", "DEPOSITED", "ITEMS", "BYTES", "READ", "URLS", "BYTES")
_NUMBERS = 6  # columns
# A cell that begins so is a formula to spreadsheets, of which some also end cells at semicolons
# (OWASP, CSV injection).
_FORMULA = re.compile(r"""(^|[;\t\r\n])(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])""")


@click.command("report")
@click.option("--since", type=moment, metavar="TIME", help=f"Only {SINCE}; by default all.")
@click.option("--until", type=moment, metavar="TIME", help=f"Only {UNTIL}.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@with_appcontext
def report(since: datetime | None, until: datetime | None, *, as_csv: bool, as_json: bool) -> None:
    """Show who deposited and read how much, in and from which base URI.

    Counts datasets, items and bytes that were registered; and datasets for whose items URLs were
    granted, these URLs, and the bytes that each leads to. Granted is not transferred: a URL may
    never be used, or be used several times. "(links)" are people without an account, and an
    operator is whoever ran a command. As far as the audit goes, SIGNED_URL_AUDIT_DAYS.

    \b
    Example:
      flask signed_url report --since 30d
      flask signed_url report --since 2026-10-01 --until 2026-11-01 --csv > october.csv
    """  # noqa: D301 (click looks for the character itself, not for its name)
    if as_csv and as_json:
        raise click.UsageError("Choose --csv or --json.")
    rows = services().audit_report.rows(since, until)
    if as_json:
        click.echo(json.dumps([row.as_json() for row in rows], indent=2))
    elif as_csv:
        click.echo(_csv(rows), nl=False)
    else:
        for line in _lines(rows):
            click.echo(line)


def _csv(rows: Sequence[ReportRow]) -> str:
    """Return CSV (RFC 4180) in which no spreadsheet finds a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(field.name for field in fields(ReportRow))
    writer.writerows([_harmless(cell) for cell in row.as_json().values()] for row in rows)
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def _lines(rows: Sequence[ReportRow]) -> Iterator[str]:
    yield from table([_HEADER, *map(_cells, rows)], numbers=_NUMBERS)
    if unknown := sum(row.read_urls_of_unknown_size for row in rows):
        urls = counted(unknown, "URL")
        yield f"The bytes of {urls} to single items are not known, and not included."


def _cells(row: ReportRow) -> tuple[str, ...]:
    numbers = (
        row.deposited_datasets,
        row.deposited_items,
        row.deposited_bytes,
        row.read_datasets,
        row.read_urls,
        row.read_bytes,
    )
    return (_who(row), printable(row.base_uri), *(f"{number:,}" for number in numbers))


def _who(row: ReportRow) -> str:
    if row.kind == Kind.LINK.value:
        return "(links)"
    name = printable(row.name)
    return name if row.kind == Kind.USER.value else f"{name} (operator)".strip()
