"""The goals of this product's speed: ratios and counts that one run of the benchmarks measures.

What is measured in seconds is kept from one machine to another in multiples of the time that the
hashes of one signed URL take.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import signing
from benchmarks.client.goals import GOALS as CLIENT
from benchmarks.goal import COUNT, MIB, MILLISECONDS, PERCENT, SECONDS, TIMES, Goal, Results, shown

# Measured at revision f0752d6.
_BEFORE = Path(__file__).with_name("before.json")
_TIMED = (SECONDS, MILLISECONDS)
_THOUSANDS, _MANY = 10_000, 100_000


def recorded() -> dict[str, float]:
    """Return what :func:`record` has written last."""
    before: dict[str, float] = json.loads(_BEFORE.read_text())
    return before


def record(before: dict[str, float]) -> None:
    """Write what was measured before, as :func:`portable` returns it."""
    _BEFORE.write_text(json.dumps(before, indent=2, ensure_ascii=False) + "\n")


def evaluate(results: Results, before: dict[str, float]) -> list[dict[str, Any]]:
    """Return each goal with what was measured now and, as portable() returns it, before."""
    hashes = _hashes(results)
    found = []
    for goal in GOALS:
        now, old = goal.value(results), before.get(goal.name)
        if goal.name == THROUGHPUT.name:
            # Requests per second, each in multiples of those of an empty route in the same run.
            now, old = (now / old if now and old else None), 1
        elif old is not None and hashes and goal.unit in _TIMED:
            old *= hashes
        found.append(
            {
                "name": goal.name,
                "goal": goal.text,
                "now": shown(now, goal.unit),
                "before": shown(old, goal.unit),
                "met": None if now is None else goal.is_met(now),
            }
        )
    return found


def portable(results: Results) -> dict[str, float]:
    """Return what was measured, by the goal's name, with times in multiples of the hashes."""
    hashes = _hashes(results)
    values = {goal.name: (goal, goal.value(results)) for goal in GOALS}
    return {
        name: round(value / hashes if hashes and goal.unit in _TIMED else value, 3)
        for name, (goal, value) in values.items()
        if value is not None
    }


def _hashes(results: Results) -> float | None:
    """Return the microseconds of one URL's hashes."""
    speeds = {speed["kind"]: speed["floor"] for speed in results.get("signing", [])}
    return speeds.get(signing.GET)


def _signing(kind: str, results: Results) -> float | None:
    for speed in results.get("signing", []):
        if speed["kind"] == kind:
            return float(speed["by"]["plugin"] / speed["floor"])
    return None


def _row(results: Results, route: str, items: int | None = None, by: str = "plugin") -> Any:
    """Return a row; without a number of items, that with the most."""
    rows = [
        row
        for row in results.get("routes", [])
        if row["route"] == route and row["by"] == by and items in (None, row["items"])
    ]
    return max(rows, key=lambda row: int(row["items"]), default=None)


def _of(route: str, items: int, field: str, divisor: float, results: Results) -> float | None:
    row = _row(results, route, items)
    return None if row is None or row[field] is None else float(row[field] / divisor)


def _naive(route: str, items: int | None, theirs: str, results: Results) -> float | None:
    naive = _row(results, theirs, items, "naive")
    ours = naive and _row(results, route, naive["items"])
    return float(naive["seconds"] / ours["seconds"]) if ours else None


def _first_byte(route: str, results: Results) -> float | None:
    row = _row(results, route, _MANY)
    return float(row["first_byte"] / row["seconds"] * 100) if row else None


def _listings(results: Results) -> float | None:
    done, listed = (
        _row(results, route, _MANY)
        for route in ("POST upload-complete, pinned", "listing of an upload")
    )
    return float(done["seconds"] / listed["seconds"]) if done and listed else None


def _staged_cpu(results: Results) -> float | None:
    row = _row(results, "POST upload-complete, staged")
    return float(row["cpu"] / row["items"] * 1000) if row else None


def _staged_speed(results: Results) -> float | None:
    ours, theirs = (
        _row(results, "POST upload-complete, staged", by=by) for by in ("plugin", "botocore")
    )
    return float(theirs["seconds"] / ours["seconds"]) if ours and theirs else None


def _throughput(results: Results) -> float | None:
    if not results.get("load"):
        return None
    item, nothing = (load["per_second"] for load in results["load"].values())
    return float(item / nothing)


def _item(field: str, results: Results) -> float | None:
    row = _row(results, "GET item, warm")
    return None if row is None else float(row[field])


THROUGHPUT = Goal(
    "GET item, 32 clients, 1 worker × 8 threads: requests per second beside before",
    TIMES,
    _throughput,
    least=3,
)
_KIB = 1024
GOALS = [
    Goal(
        "sign GET under the item's name, in multiples of its hashes",
        TIMES,
        partial(_signing, signing.NAMED),
        most=3,
    ),
    Goal("sign plain GET", TIMES, partial(_signing, signing.GET), most=1.8),
    Goal("sign pinned PUT", TIMES, partial(_signing, signing.PINNED), most=2.2),
    Goal(
        "GET dataset, 10,000 items, beside the naive way",
        TIMES,
        partial(_naive, "GET dataset", _THOUSANDS, "GET dataset"),
        least=60,
    ),
    *(
        goal
        for route in ("GET dataset", "GET dataset, cold")
        for goal in (
            Goal(
                f"{route}, 100,000 items: CPU",
                SECONDS,
                partial(_of, route, _MANY, "cpu", 1),
                most=1,
            ),
            Goal(
                f"{route}, 100,000 items: memory above idle",
                MIB,
                partial(_of, route, _MANY, "memory", _KIB),
                most=60,
            ),
            Goal(
                f"{route}, 100,000 items: first byte, of the whole time",
                PERCENT,
                partial(_first_byte, route),
                most=5,
            ),
        )
    ),
    Goal(
        "POST upload, 10,000 items, beside the naive way",
        TIMES,
        partial(_naive, "POST upload", _THOUSANDS, "POST upload"),
        least=25,
    ),
    Goal(
        "POST upload, 100,000 items: CPU",
        SECONDS,
        partial(_of, "POST upload", _MANY, "cpu", 1),
        most=1.2,
    ),
    Goal(
        "POST upload, 100,000 items: memory above idle",
        MIB,
        partial(_of, "POST upload", _MANY, "memory", _KIB),
        most=120,
    ),
    Goal("GET item, warm: storage requests", COUNT, partial(_item, "requests"), most=0),
    Goal("GET item, warm: database statements", COUNT, partial(_item, "statements"), most=3),
    Goal(
        "GET item, warm, beside the naive way",
        TIMES,
        partial(_naive, "GET item, warm", None, "GET item"),
        least=150,
    ),
    Goal("complete, pinned, 100,000 items, beside its own listing", TIMES, _listings, most=1.3),
    Goal("complete, staged: CPU per item", MILLISECONDS, _staged_cpu, most=0.4),
    Goal(
        "complete, staged: items per second beside botocore with 16 threads",
        TIMES,
        _staged_speed,
        least=5,
    ),
    THROUGHPUT,
    *CLIENT,
]
