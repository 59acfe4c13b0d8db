"""Deposits and fetches the same files with each program, without and with latency."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import routes
from benchmarks.client import contents, resuming
from benchmarks.client.contents import Contents
from benchmarks.client.goals import LATENCY
from benchmarks.client.programs import (
    Curl,
    DserverClient,
    DtoolCopy,
    Machine,
    Program,
    Sequential,
    Used,
    md5sum,
)
from benchmarks.server import site

LATENCIES = (0, LATENCY)
SMALL_FILES, QUICK_SMALL_FILES = 2_000, 300
LARGE, QUICK_LARGE = 3 * 10**9, 3 * 10**8  # bytes
TURNS = 3
# So many of the small files, without and with latency, where all would take minutes.
FEWER = {Sequential.name: (500, 60), DtoolCopy.name: (30, 10)}


@dataclass(frozen=True)
class Row:
    """What one program used for some contents: seconds, CPU seconds, and bytes of memory.

    ``measured`` is the number of files that were transferred: the time of one file, and that of
    each further one, make up the time of all.
    """

    latency: float
    contents: str
    direction: str
    by: str
    files: int
    size: int
    measured: int
    seconds: float
    cpu: float
    memory: int


def measure(*, quick: bool) -> dict[str, Any]:
    """Return all rows, and what resumed transfers sent twice."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        work = _Work(Path(directory), quick=quick)
        for number, latency in enumerate(LATENCIES):
            dserver = Path(directory, f"dserver-{number}")
            with site(dserver, latency) as place, place.serving() as server:
                routes.warm_up(server)
                machine = Machine(server, Path(directory, "home"))
                rows += work.rows(machine, number)
                if latency:
                    resumed = resuming.measure(machine, work.large, Path(directory))
    return {"transfers": [asdict(row) for row in rows], "resumed": resumed}


class _Work:
    """The contents, in a directory that all programs share."""

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self._directory = directory
        self._turns = 1 if quick else TURNS
        (directory / "home").mkdir()
        count = QUICK_SMALL_FILES if quick else SMALL_FILES
        self._small = contents.small_files(directory / "small", count)
        self._one = contents.small_files(directory / "one", 1)
        self._fewer = {
            fewer: contents.small_files(directory / f"small-{fewer}", min(fewer, count))
            for both in FEWER.values()
            for fewer in both
        }
        self.large = contents.large_file(directory / "large", QUICK_LARGE if quick else LARGE)
        self._mixture = contents.mixture(directory / "mixture", 10 if quick else 1)

    def rows(self, machine: Machine, number: int) -> Iterator[Row]:
        """Yield the rows for one latency, by its number."""
        latency = LATENCIES[number]
        both: list[Program] = [DserverClient(), Curl()]
        yield from self._all(machine, latency, both[0], self._one, self._turns)
        for program in both:
            yield from self._all(machine, latency, program, self._small, self._turns)
        for slow in (Sequential(), DtoolCopy()):
            yield from self._scaled(machine, number, slow)
        for program in both:
            yield from self._all(machine, latency, program, self._mixture, 1)
        hashing = md5sum(machine, self.large.directory)
        yield _row(latency, self.large, "hash", "md5sum", [hashing])
        for program in both:
            yield from self._all(machine, latency, program, self.large, 1)

    def _all(
        self, machine: Machine, latency: float, program: Program, what: Contents, turns: int
    ) -> Iterator[Row]:
        deposits, fetches = [], []
        for _ in range(turns):
            used, uri = program.deposit(machine, what.directory)
            deposits.append(used)
            fetches.append(self._fetched(machine, program, uri, what))
        yield _row(latency, what, "deposit", program.name, deposits)
        yield _row(latency, what, "fetch", program.name, fetches)

    def _fetched(self, machine: Machine, program: Program, uri: str, what: Contents) -> Used:
        to = self._directory / "fetched"
        try:
            used = program.fetch(machine, uri, to)
            found = sum(path.stat().st_size for path in to.rglob("*") if path.is_file())
            assert found >= what.size, f"{program.name} has fetched {found} of {what.size} bytes"
            return used
        finally:
            shutil.rmtree(to, ignore_errors=True)

    def _scaled(self, machine: Machine, number: int, program: Program) -> Iterator[Row]:
        """Transfer one file and a few, and yield what all would take."""
        latency, few = LATENCIES[number], self._fewer[FEWER[program.name][number]]
        for one, some in zip(
            self._all(machine, latency, program, self._one, 1),
            self._all(machine, latency, program, few, 1),
            strict=True,
        ):
            times = (self._small.files - 1) / (few.files - 1)
            yield Row(
                latency,
                self._small.title,
                one.direction,
                program.name,
                self._small.files,
                self._small.size,
                few.files,
                one.seconds + (some.seconds - one.seconds) * times,
                one.cpu + (some.cpu - one.cpu) * times,
                max(one.memory, some.memory),
            )


def _row(latency: float, what: Contents, direction: str, by: str, used: list[Used]) -> Row:
    return Row(
        latency,
        what.title,
        direction,
        by,
        what.files,
        what.size,
        what.files,
        median(each.seconds for each in used),
        median(each.cpu for each in used),
        max(each.memory for each in used),
    )
