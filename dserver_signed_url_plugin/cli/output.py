"""What commands print alike: names, times, numbers of items, tables, and JSON lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dserver_signed_url_plugin.quantities import counted


def printable(name: str) -> str:
    """Return a name that somebody else chose so that it cannot add lines or columns."""
    return name if name.isprintable() else ascii(name)


def time_text(moment: datetime) -> str:
    """Return a time (UTC), to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def extent_text(number: int, noun: str, size_in_bytes: int | None) -> str:
    """Return how much something is: ``"1 item, 5 bytes"``; without its size if that is None."""
    size = "" if size_in_bytes is None else f", {counted(size_in_bytes, 'byte')}"
    return f"{counted(number, noun)}{size}"


def table(rows: Sequence[Sequence[str]], numbers: int = 0) -> Iterator[str]:
    """Yield the lines of a table, whose last so many columns are numbers, aligned on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = len(widths) - numbers
    for row in rows:
        cells = (*map(str.ljust, row[:texts], widths), *map(str.rjust, row[texts:], widths[texts:]))
        yield "  ".join(cells).rstrip()


def json_list(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a JSON list, one entry at a time."""
    before = "["
    for entry in entries:
        yield before
        before = f"  {json.dumps(entry)},"
    yield before.rstrip(",")
    yield "]"
