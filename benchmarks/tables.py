"""The results as tables: for the terminal, and in reStructuredText."""

from __future__ import annotations

from typing import Any

from benchmarks.client import tables as client
from benchmarks.goal import shown

Table = tuple[str, list[str], list[list[str]]]


def tables(results: dict[str, Any]) -> list[Table]:
    """Return title, header and lines of each table."""
    made = [_goals(results), _signing(results), _routes(results), _load(results)]
    made += [client.transfers(results), client.resumed(results)]
    return [table for table in made if table[2]]


def as_text(table: Table) -> str:
    """Return a table for the terminal; only the first column is aligned to the left."""
    title, header, lines = table
    widths = [max(len(line[number]) for line in [header, *lines]) for number in range(len(header))]

    def aligned(line: list[str]) -> str:
        first, *rest = zip(line, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])

    return "\n".join([title, "", aligned(header), *map(aligned, lines)]) + "\n"


def as_rst(table: Table) -> str:
    """Return a table as ``list-table``."""
    title, header, lines = table
    rows = ["   * - " + "\n     - ".join(line) for line in [header, *lines]]
    return "\n".join([f".. list-table:: {title}", "   :header-rows: 1", "", *rows]) + "\n"


def _goals(results: dict[str, Any]) -> Table:
    marks = {True: "yes", False: "no", None: "–"}
    lines = [
        [goal["name"], goal["goal"], goal["now"], goal["before"], marks[goal["met"]]]
        for goal in results["goals"]
    ]
    return "Goals", ["", "goal", "now", "before", "met"], lines


def _signing(results: dict[str, Any]) -> Table:
    speeds = results.get("signing", [])
    others = list(dict.fromkeys(name for speed in speeds for name in speed["by"]))
    lines = [
        [
            speed["kind"],
            f"{speed['floor']:.1f}",
            *(shown(speed["by"].get(name), "") for name in others),
            shown(speed["by"]["plugin"] / speed["floor"], "×"),
        ]
        for speed in speeds
    ]
    return (
        "Microseconds per signed URL",
        ["", "hashes alone", *others, "plugin / hashes"],
        lines,
    )


def _routes(results: dict[str, Any]) -> Table:
    header = [
        "",
        *("by", "items", "median ms", "95 % ms", "CPU ms", "first byte ms", "store requests"),
        *("statements", "bytes per item", "compressed", "MiB above idle"),
    ]
    return "Routes", header, [_route(row) for row in results.get("routes", [])]


def _route(row: dict[str, Any]) -> list[str]:
    def milliseconds(field: str) -> str:
        return f"{row[field] * 1000:,.1f}"

    compressed, memory = row["compressed_bytes"], row["memory"]
    of_all = not row["route"].startswith(("GET item", "listing", "POST upload-complete"))
    return [
        row["route"],
        row["by"],
        f"{row['items']:,}",
        *map(milliseconds, ("seconds", "p95", "cpu", "first_byte")),
        f"{row['requests']:,}",
        str(row["statements"]),
        f"{row['bytes'] / row['items']:,.0f}" if of_all else "–",
        "–" if compressed is None else f"{compressed / row['items']:,.0f}",
        "–" if memory is None else f"{memory / 1024:,.1f}",
    ]


def _load(results: dict[str, Any]) -> Table:
    lines = [
        [
            name,
            f"{load['per_second']:,.0f}",
            *(f"{load[f] * 1000:,.1f}" for f in ("seconds", "p95")),
        ]
        for name, load in results.get("load", {}).items()
    ]
    title = "Requests per second: 32 clients, 1 worker with 8 threads"
    return title, ["", "per second", "median ms", "95 % ms"], lines
