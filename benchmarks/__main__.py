"""Measure signing, routes and the client, print tables, write JSON; see docs/performance.rst."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import goals, load, machine, routes, signing, tables
from benchmarks.client import measure as client
from benchmarks.server import Site, site

PARTS = ("signing", "routes", "staged", "load", "client")
SIZES, QUICK_SIZES = [10, 1_000, 10_000, 100_000], [10, 1_000]
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure what the options select, and compare it with the goals."""
    options = _options()
    results = json.loads(options.results.read_text()) if options.results else measure(options)
    before = goals.recorded()
    if options.base:
        before |= goals.portable(_measure_at(options.base, options))
        if options.record:
            goals.record(before)
    results["goals"] = goals.evaluate(results, before)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    for table in tables.tables(results):
        print("\n" + tables.as_text(table))
    if options.plot:
        from benchmarks import documentation

        documentation.write(results, ROOT / "docs" / "performance")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the results of the selected parts."""
    results: dict[str, Any] = {
        "revision": machine.revision(),
        "machine": machine.describe(),
        "routes": [],
    }
    if "signing" in options.only:
        results["signing"] = _timed("signing", lambda: [asdict(one) for one in signing.measure()])
    _measure_dserver(options, results)
    if "client" in options.only:
        results["client"] = _timed("client", lambda: client.measure(quick=options.quick))
    return results


def _measure_dserver(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Add the results of the parts that ask a dserver of their own."""
    sizes = options.items or (QUICK_SIZES if options.quick else SIZES)

    def rows(run: Site) -> None:
        results["routes"] += [row.as_json() for row in routes.measure(run, sizes)]

    def staged(run: Site) -> None:
        items = 500 if options.quick else routes.STAGED
        results["routes"] += [row.as_json() for row in routes.measure_staged(run, items)]

    def under_load(run: Site) -> None:
        results["load"] = load.measure(run, 3 if options.quick else 10)

    for name, part in zip(PARTS[1:-1], (rows, staged, under_load), strict=True):
        if name in options.only:
            with tempfile.TemporaryDirectory() as directory, site(Path(directory)) as run:
                _timed(name, lambda part=part, run=run: part(run))


def _measure_at(revision: str, options: argparse.Namespace) -> Any:
    """Measure another revision of the plugin with this benchmark."""
    with tempfile.TemporaryDirectory() as directory:
        tree, results = Path(directory, "tree"), Path(directory, "results.json")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), revision], check=True)
        try:
            subprocess.run(["rm", "-r", str(tree / "benchmarks")], check=True)
            subprocess.run(["cp", "-r", str(ROOT / "benchmarks"), str(tree)], check=True)
            only = [part for part in options.only if part != "client"]
            command = [sys.executable, "-m", "benchmarks", "--json", str(results), "--only", *only]
            command += ["--quick"] if options.quick else []
            command += ["--items", *map(str, options.items)] if options.items else []
            subprocess.run(command, cwd=tree, check=True)
            return json.loads(results.read_text())
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _timed(name: str, run: Callable[[], Any]) -> Any:
    started = time.monotonic()
    result = run()
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--items", nargs="+", type=int, help="numbers of items per dataset")
    parser.add_argument("--quick", action="store_true", help="few items and calls")
    parser.add_argument("--base", metavar="REV", help="measure this revision, too, as 'before'")
    parser.add_argument("--plot", action="store_true", help="write tables and plots into docs")
    parser.add_argument(
        "--record", action="store_true", help="keep what --base measured, as ratios"
    )
    parser.add_argument("--results", type=Path, help="show these results; measure nothing")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
