"""The goals of the client's speed, as ratios to other programs in the same run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.client.contents import SMALL
from benchmarks.goal import COUNT, MEGABYTES, MILLISECONDS, TIMES, Goal, Results

_Measure = Callable[[Results], float | None]
_SMALL_FILES, _ONE_FILE = f"× {SMALL // 1000} kB", f"1 × {SMALL // 1000} kB"
_LARGE = " GB"
LATENCY = 0.03  # seconds of a round trip


def _row(results: Results, latency: float, contents: str, direction: str, by: str) -> Any:
    """Return the row; of contents that several titles match, that with the most files."""
    rows = [
        row
        for row in results.get("client", {}).get("transfers", [])
        if row["latency"] == latency
        and row["contents"].endswith(contents)
        and (row["direction"], row["by"]) == (direction, by)
    ]
    return max(rows, key=lambda row: int(row["files"]), default=None)


def _beside(
    latency: float, contents: str, direction: str, by: str, results: Results
) -> float | None:
    """Return how many times faster the client is."""
    ours, theirs = (_row(results, latency, contents, direction, name) for name in ("client", by))
    return float(theirs["seconds"] / ours["seconds"]) if ours and theirs else None


def _hashed(latency: float, direction: str, results: Results) -> float | None:
    """Return how many times faster the client is than curl and md5sum, one after the other."""
    ours, theirs = (_row(results, latency, _LARGE, direction, name) for name in ("client", "curl"))
    hashing = _row(results, latency, _LARGE, "hash", "md5sum")
    if not (ours and theirs and hashing):
        return None
    return float((theirs["seconds"] + hashing["seconds"]) / ours["seconds"])


def _cpu(direction: str, results: Results) -> float | None:
    """Return milliseconds of CPU per small file, without what one file alone costs."""
    many, one = (
        _row(results, 0, contents, direction, "client") for contents in (_SMALL_FILES, _ONE_FILE)
    )
    if not (many and one and many["files"] > 1):
        return None
    return float((many["cpu"] - one["cpu"]) / (many["files"] - 1) * 1000)


def _memory(results: Results) -> float | None:
    rows = [
        row["memory"]
        for row in results.get("client", {}).get("transfers", [])
        if row["by"] == "client"
    ]
    return max(rows) / 1e6 if rows else None


def _resumed(field: str, results: Results) -> float | None:
    resumed = results.get("client", {}).get("resumed")
    return None if resumed is None else float(resumed[field])


def _named(latency: float) -> str:
    return f"{latency * 1000:.0f} ms latency" if latency else "no latency"


def _of_small_files() -> list[Goal]:
    return [
        Goal(
            f"client, {direction} of small files, {_named(latency)}, beside {name}",
            TIMES,
            partial(_beside, latency, _SMALL_FILES, direction, by),
            least=least,
        )
        for direction in ("deposit", "fetch")
        for latency, by, name, least in (
            (0, "sequential", "a sequential client", 3),
            (0, "dtool cp", "dtool cp to s3://", 20),
            (LATENCY, "sequential", "a sequential client", 30),
            (LATENCY, "dtool cp", "dtool cp to s3://", 100),
        )
    ]


def _of_one_large_file() -> list[Goal]:
    return [
        Goal(
            f"client, deposit of one large file, {_named(latency)}, beside {name}",
            TIMES,
            measure,
            least=0.95,
        )
        for latency in (0, LATENCY)
        for name, measure in (
            ("curl -T", partial(_beside, latency, _LARGE, "deposit", "curl")),
            ("md5sum and curl -T", partial(_hashed, latency, "deposit")),
        )
    ]


GOALS = [
    *_of_small_files(),
    *_of_one_large_file(),
    Goal("client: memory at its peak", MEGABYTES, _memory, most=100),
    *(
        Goal(
            f"client, {direction} of small files: CPU per file",
            MILLISECONDS,
            partial(_cpu, direction),
            most=1.5,
        )
        for direction in ("deposit", "fetch")
    ),
    Goal(
        "client, resumed deposit: acknowledged bytes that were sent again",
        COUNT,
        partial(_resumed, "acknowledged_sent_again"),
        most=0,
    ),
]
