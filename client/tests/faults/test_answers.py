"""Every answer on the way may be lost, cut, or another one: the same command goes on.

``EVERY_STEP=1`` has each kind of fault at each request; otherwise each request has some.
"""

from __future__ import annotations

import os
from itertools import count

import pytest

from client.tests.faults.proxies import ALL, FAULTS, Faults
from client.tests.faults.world import (
    FILES,
    README,
    contents,
    pending_uploads,
)

# Requests of a deposit of these files or of fetching them, at most; more are not reached.
STEPS = 8
# One of so many steps is tried with one kind of fault.
STRIDE = 1 if "EVERY_STEP" in os.environ else 8

KINDS = [
    *(("dserver", kind, number) for number, kind in enumerate(FAULTS)),
    *(("store", kind, number) for number, kind in enumerate(ALL)),
]
each_fault = pytest.mark.parametrize(("where", "kind", "number"), KINDS)
_names = count(1)


def steps(number):
    return range(1 + number % STRIDE, STEPS + 1, STRIDE)


@each_fault
def test_a_deposit_is_registered_once_whatever_answer_fails(world, source, where, kind, number):
    for at in steps(number):
        name = f"deposit-{next(_names)}"
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


@each_fault
def test_what_is_fetched_is_right_whatever_answer_fails(
    world, dataset, tmp_path, where, kind, number
):
    for at in steps(number):
        target = tmp_path / f"target-{at}"
        with Faults(world.proxies[where], kind, at):
            world.repeated("fetch", dataset, target)
        assert contents(target) == FILES
