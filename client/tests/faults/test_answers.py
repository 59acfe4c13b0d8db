"""Every answer on the way may be lost, cut, or another one: the same command goes on.

``EVERY_STEP=1`` has each kind of fault at each request; otherwise each request has some.
"""

from __future__ import annotations

import os
from itertools import count

import pytest
from dserver_client.errors import VerificationFailed

from client.tests.faults.proxies import ALL, FAULTS, Faults
from client.tests.faults.world import (
    FILES,
    PART,
    README,
    contents,
    pending_uploads,
    write,
)

# Requests to either side of a deposit of these files or of fetching them, at most.
STEPS = 4
# One of so many steps is tried with one kind of fault.
STRIDE = 1 if "EVERY_STEP" in os.environ else 4

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


@pytest.mark.parametrize(
    ("where", "kind", "target"),
    [
        ("store", "no answer", "partNumber=2"),
        ("store", "expired", "partNumber=3"),
        ("store", "bad digest", "partNumber=1"),
        ("dserver", "half a body", "/parts/"),
    ],
)
def test_parts_are_sent_again_one_by_one(world, source, where, kind, target):
    write(source, {"large": os.urandom(2 * PART + 1)})
    name = f"parts-{next(_names)}"
    with Faults(world.proxies[where], kind, target) as faults:
        done = world.repeated("deposit", source, world.dserver.base_uri, name=name)
        assert faults.has_failed
    assert world.registered(name) == [done.uri]
    assert {times for path, times in faults.puts.items() if "partNumber" in path} <= {1}


def test_other_bytes_of_the_store_get_no_name(world, dataset, tmp_path):
    store, target = world.proxies["store"], tmp_path / "target"
    right = FILES["a.txt"]
    store.rewritten = lambda content: b"F" + right[1:] if content == right else content
    try:
        with world.client() as client, pytest.raises(VerificationFailed):
            client.fetch(dataset, target)
        assert not (target / "a.txt").exists()
    finally:
        store.heal()
    world.repeated("fetch", dataset, target)
    assert contents(target) == FILES
