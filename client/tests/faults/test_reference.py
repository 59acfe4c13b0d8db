"""A dserver with the reference's four routes alone: what fails there is gone on with, too.

It has no status, no slugs, and completes nothing twice, so the client keeps what was acknowledged.
"""

from __future__ import annotations

import pytest
from dserver_client.errors import StoreRefused
from dtoolcore.utils import generate_identifier

from client.tests.faults.each_fault import check_deposits, each_fault
from client.tests.faults.proxies import Faults
from client.tests.faults.world import FILES, README, contents
from tests.support.proxy import Instead
from tests.support.reference_only import ReferenceOnly

REFUSED = Instead(403, b"<Error><Code>AccessDenied</Code></Error>")


@pytest.fixture(scope="module")
def served():
    return ReferenceOnly


@each_fault
def test_a_deposit_is_registered_once_whatever_answer_fails(world, source, where, kind, number):
    check_deposits(world, source, where, kind, number)


def test_what_was_acknowledged_is_not_sent_again(world, source):
    store, last = world.proxies["store"], generate_identifier("a.txt")
    with Faults(store) as first:
        store.before = lambda request: REFUSED if last in request.target else None
        with world.client() as client, pytest.raises(StoreRefused):
            client.deposit(source, world.dserver.base_uri, name="again", readme=README)
    with Faults(store) as second:
        world.repeated("deposit", source, world.dserver.base_uri, name="again", readme=README)
    sent = {path: times for path, times in (first.puts + second.puts).items() if "/data/" in path}
    assert set(sent.values()) == {1}
    assert len(sent) == len(FILES)


def test_what_was_deposited_is_fetched(world, source, tmp_path):
    done = world.repeated("deposit", source, world.dserver.base_uri, name="fetched", readme=README)
    world.repeated("fetch", done.uri, tmp_path / "target")
    assert contents(tmp_path / "target") == FILES
