"""Three servers, people who deposit there at the same time, and what happened."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.replicas import Replicas
from tests.support.server_kills.killer import Kill, Killer, Moment
from tests.support.server_kills.people import Act, GaveUp, Person, plainly, with_client

PART = 5 * 1024**2


@dataclass
class Outcome:
    """What happened."""

    kills: list[Kill] = field(default_factory=list)
    missed: int = 0  # rounds that ended before the moment came
    deposits: list[Deposit] = field(default_factory=list)
    resumed: int = 0  # deposits that somebody gave up on, and went on with later
    requests: Sequence[dict[str, Any]] = ()  # as nginx has logged them
    parts_left: int = 0  # items whose parts the clean-up had to abort

    @property
    def cut_off(self) -> int:
        """How many requests have no answer of dserver's."""
        return sum(entry["status"] == 502 for entry in self.requests)

    @property
    def sent_twice(self) -> int:
        """How many requests nginx sent to another server, because one could not be reached."""
        return sum("," in entry["server"] for entry in self.requests)

    def report(self) -> str:
        """Return the figures."""
        answers = Counter(f"{_route(entry)}: {entry['status']}" for entry in self.requests)
        during = Counter(f"killed {kill.during}" for kill in self.kills)
        states = Counter(state for kill in self.kills for state in kill.left.values())
        delays = [delay for kill in self.kills for delay in kill.delays]
        return "\n".join(
            [
                f"{len(self.kills)} kills ({self.missed} rounds ended before the moment)",
                *_counted(during),
                f"{len(self.deposits)} deposits, each registered once and verified; "
                f"{self.resumed} of them had been given up and were resumed",
                f"{len(self.requests)} requests, {self.cut_off} cut off, "
                f"{self.sent_twice} sent to another server by nginx",
                *_counted(answers),
                f"leases left behind, by state of the upload: {dict(states)}",
                f"seconds until those were registered: {_spread(delays)}",
                f"items with parts that were left for the clean-up: {self.parts_left}",
                "seconds until a killed server answered again: "
                + _spread([kill.back_after for kill in self.kills]),
            ]
        )


def _route(entry: dict[str, Any]) -> str:
    parts = entry["path"].split("/")
    return f"{entry['method']} {'/'.join(parts[1:3])}"


def _counted(counter: Counter[str]) -> list[str]:
    return [f"{number:7} {what}" for what, number in sorted(counter.items())]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{min(values):.1f} to {max(values):.1f}, median {median(values):.1f}"


class Lab:
    """Three servers, of which one is killed in each round."""

    def __init__(self, dserver: Dserver, directory: Path) -> None:
        self.dserver, self._directory = dserver, directory
        self.replicas = Replicas(dserver, directory, SIGNED_URL_PART_BYTES=PART)
        self.outcome = Outcome()
        self._given_up: list[tuple[DtoolDserver, Deposit]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        with self.replicas.running():
            self._killer = Killer(self.replicas.servers, self.dserver)
            yield

    def round(self, number: int, moment: Moment, when: str) -> int:
        """Let everybody deposit, and kill a server; return how many requests the store got.

        The server is started again at once.
        """
        self._killer.arm(moment, when)
        finished: dict[str, float] = {}

        def run(act: Act, deposit: Deposit) -> None:
            act(deposit)
            finished[deposit.uuid] = time.monotonic()

        with ThreadPoolExecutor(16) as pool:
            acts = [(pool.submit(run, act, one), one) for act, one in self._deposits(number)]
            kill = self._start_again() if self._is_killed([future for future, _ in acts]) else None
        requests = self._killer.disarm()
        self._note_deposits(acts)
        self._resume()
        if kill is None:
            self.outcome.missed += 1
        else:
            waited = kill.left.keys() & finished.keys()
            kill.delays = [finished[uuid] - kill.at for uuid in waited]
            self.outcome.kills.append(kill)
        self.outcome.requests = self.replicas.requests()
        return requests

    def _deposits(self, number: int) -> Iterator[tuple[Act, Deposit]]:
        small = {f"{each}.txt": b"%d of %d" % (each, number) for each in range(6)}
        large = {"large": os.urandom(PART + 1), "small": b"small", "empty": b""}
        for files in (small, large):
            yield (
                with_client(self._person(), self.dserver.base_uri, self._directory),
                Deposit(files),
            )
        for gives_up in (False, False, True):
            for client in (DtoolDserver(), DserverClientJS()):
                yield self._plainly(client, gives_up=gives_up), Deposit(small)

    def _person(self, *, gives_up: bool = False) -> Person:
        return Person(self.replicas.url, self.dserver.tokens["alice"], gives_up)

    def _plainly(self, client: DtoolDserver, *, gives_up: bool) -> Act:
        act = plainly(client, self._person(gives_up=gives_up), self.dserver.base_uri)

        def note(deposit: Deposit) -> None:
            try:
                act(deposit)
            except GaveUp:
                self._given_up.append((client, deposit))
                raise

        return note

    def _is_killed(self, running: Sequence[Future[None]]) -> bool:
        """Wait until a server is killed, or everybody is done."""
        while not self._killer.killed.wait(0.05):
            if all(future.done() for future in running):
                return self._killer.killed.is_set()
        return True

    def _start_again(self) -> Kill:
        kill, victim = self._killer.kill, self._killer.victim
        victim.start()
        victim.wait()
        kill.back_after = time.monotonic() - kill.at
        self._killer.note_leases()
        return kill

    def _note_deposits(self, acts: Sequence[tuple[Future[None], Deposit]]) -> None:
        for future, deposit in acts:
            error = future.exception()
            if error is None:
                self.outcome.deposits.append(deposit)
            elif not isinstance(error, GaveUp):
                raise error

    def _resume(self) -> None:
        """Go on with what somebody gave up on, as another command of theirs would."""
        for client, deposit in self._given_up:
            self._plainly(client, gives_up=False)(deposit)
            self.outcome.deposits.append(deposit)
            self.outcome.resumed += 1
        self._given_up = []
