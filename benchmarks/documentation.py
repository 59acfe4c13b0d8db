"""Writes the results into docs/performance: tables in reStructuredText, and plots as SVG.

The same results make the same files. Plots have no background, and colours that can be read on a
light page and on a dark one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.tables import as_rst, tables

_TEXT = "#7d7d7d"
_COLOURS = {
    "plugin": "#1d8fd1",
    "naive": "#d9772b",
    "botocore": "#d9772b",
    "minio": "#b0569f",
    "Azure SDK 2.1": "#3f9b5f",
    "hashes alone": "#8a8a8a",
}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmarks",
    "font.family": "sans-serif",
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.titlecolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def write(results: dict[str, Any], directory: Path) -> None:
    """Write ``results.txt`` and the plots of what was measured."""
    directory.mkdir(exist_ok=True)
    sections = [_machine(results), *(as_rst(table) for table in tables(results))]
    (directory / "results.txt").write_text("\n".join(sections), encoding="utf-8")
    with mpl.rc_context(_STYLE):
        _save(_time(results), directory / "time.svg")
        _save(_memory(results), directory / "memory.svg")
        _save(_signing(results), directory / "signing.svg")


def _machine(results: dict[str, Any]) -> str:
    machine = dict(results["machine"])
    packages = ", ".join(f"{name} {number}" for name, number in machine.pop("packages").items())
    return (
        f"Measured at revision {results['revision']} on {machine['cores']} cores of "
        f"{machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}; load average "
        f"{machine['load_before']} before the run. Python {machine['python']}, OpenSSL "
        f"{machine['openssl']}, {packages}.\n"
    )


def _save(figure: Figure, path: Path) -> None:
    metadata = {"Date": None, "Creator": None}
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata=metadata)


def _time(results: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 3.6))
    for number, route in enumerate(("GET dataset", "POST upload"), 1):
        axes = figure.add_subplot(1, 2, number)
        _lines(axes, results, {"plugin": route, "naive": route}, "seconds", 1)
        axes.set_title(route)
        axes.set_ylabel("seconds")
        axes.legend()
    return figure


def _memory(results: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 3.6))
    for number, route in enumerate(("GET dataset", "POST upload"), 1):
        axes = figure.add_subplot(1, 2, number)
        _lines(axes, results, {"plugin": route, "naive": route}, "memory", 1024)
        axes.set_title(route)
        axes.set_ylabel("MiB above idle")
        axes.legend()
    return figure


def _lines(
    axes: Axes, results: dict[str, Any], routes: dict[str, str], field: str, divisor: float
) -> None:
    for by, route in routes.items():
        rows = [row for row in results["routes"] if (row["route"], row["by"]) == (route, by)]
        points = sorted((row["items"], row[field] / divisor) for row in rows if row[field])
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=_COLOURS[by], label=by)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("items")


def _signing(results: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 4.2))
    axes = figure.add_subplot()
    speeds = list(reversed(results.get("signing", [])))
    labelled: set[str] = set()
    for position, speed in enumerate(speeds):
        bars = {"hashes alone": speed["floor"], **speed["by"]}
        for number, (name, micros) in enumerate(bars.items()):
            label = None if name in labelled else name
            labelled.add(name)
            height = 0.8 / len(bars)
            place = position + 0.4 - height * (number + 0.5)
            axes.barh(place, micros, height * 0.9, color=_COLOURS[name], label=label)
            axes.text(micros * 1.05, place, f"{micros:.1f}", va="center", fontsize=7)
    axes.set_yticks(range(len(speeds)), [speed["kind"] for speed in speeds])
    axes.set_xscale("log")
    axes.set_xlabel("microseconds per signed URL")
    axes.legend(loc="lower right")
    return figure
