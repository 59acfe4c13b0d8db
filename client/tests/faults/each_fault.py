"""Every kind of fault, at some or all of the requests that a command makes.

``EVERY_STEP=1`` has each kind of fault at each request; otherwise each request has some.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from client.tests.faults.proxies import ALL, FAULTS, Faults
from client.tests.faults.world import README, World, pending_uploads
from tests.support.every_step import EVERY_STEP

# Requests to either side of a deposit of these files or of fetching them, at most.
STEPS = 4
# One of so many steps is tried with one kind of fault.
STRIDE = 1 if EVERY_STEP else 4

KINDS = [
    *(("dserver", kind, number) for number, kind in enumerate(FAULTS)),
    *(("store", kind, number) for number, kind in enumerate(ALL)),
]
each_fault = pytest.mark.parametrize(("where", "kind", "number"), KINDS)
_names = count(1)


def new_name() -> str:
    """Return a name that no other dataset of these tests has."""
    return f"deposit-{next(_names)}"


def steps(number: int) -> Iterator[int]:
    """Yield the requests at which the kind of fault with this number is tried."""
    yield from range(1 + number % STRIDE, STEPS + 1, STRIDE)


def check_deposits(world: World, source: Path, where: str, kind: str, number: int) -> None:
    """Deposit once for each step, and check that each is registered once, and sent once."""
    for at in steps(number):
        name = new_name()
        faults = {where: (kind, at)}
        with (
            Faults(world.proxies["dserver"], *faults.get("dserver", ())),
            Faults(world.proxies["store"], *faults.get("store", ())) as store,
        ):
            done = world.repeated(
                "deposit", source, world.dserver.base_uri, name=name, readme=README
            )
        assert world.registered(name) == [done.uri]
        assert pending_uploads(world.dserver) == 0
        assert {times for path, times in store.puts.items() if "/data/" in path} == {1}
