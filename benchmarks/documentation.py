"""Writes the results into docs/performance: tables in reStructuredText, and plots as SVG.

The same results make the same files. Plots have no background, and colours that can be read on a
light page and on a dark one.
"""

from __future__ import annotations

from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

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
    return _lines(results, ("GET dataset", "POST upload"), "seconds", "seconds", 1)


def _memory(results: dict[str, Any]) -> Figure:
    # Repeated requests use memory that the first has left to the process.
    return _lines(results, ("GET dataset, cold", "POST upload"), "memory", "MiB above idle", 1024)


def _lines(
    results: dict[str, Any], routes: tuple[str, ...], field: str, label: str, divisor: float
) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for number, route in enumerate(routes, 1):
        axes = figure.add_subplot(1, len(routes), number)
        values: list[float] = []
        for by, name in (("plugin", route), ("naive", route.partition(",")[0])):
            rows = [row for row in results["routes"] if (row["route"], row["by"]) == (name, by)]
            points = sorted((row["items"], row[field] / divisor) for row in rows if row[field])
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", color=_COLOURS[by], label=by)
                values += [value for _, value in points]
        axes.set(title=route, xlabel="items", ylabel=label)
        _scale(axes, values)
    return figure


def _scale(axes: Axes, values: list[float]) -> None:
    """Make both scales logarithmic, with whole powers of ten."""
    axes.set(xscale="log", yscale="log")
    if values:
        axes.set_ylim(10 ** floor(log10(min(values))), 10 ** ceil(log10(max(values))))
        axes.legend()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter(NullFormatter())


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
