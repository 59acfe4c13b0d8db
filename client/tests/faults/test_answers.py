"""Every answer on the way may be lost, cut, or another one: the same command goes on."""

from __future__ import annotations

import os

import pytest
from dserver_client.errors import VerificationFailed

from client.tests.faults.each_fault import check_deposits, each_fault, new_name, steps
from client.tests.faults.proxies import Faults
from client.tests.faults.world import FILES, PART, contents, write


@each_fault
def test_a_deposit_is_registered_once_whatever_answer_fails(world, source, where, kind, number):
    check_deposits(world, source, where, kind, number)


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
    name = new_name()
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
