"""Two at once in Azure: one wins, and what is registered is what is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest
from azure.storage.blob import BlockBlobService
from werkzeug.test import TestResponse

from tests.support.azure_holdings import check_dataset, containers
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver, Person, encoded
from tests.support.pauses import lose_leases
from tests.support.proxy import Request
from tests.support.s3_holdings import check_readable

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
CLIENT = DtoolDserver()


def stored(dserver: Dserver, deposit: Deposit, person: Person | None = None) -> str:
    """Begin an upload, as alice or another, and PUT everything; return its URI."""
    grant = CLIENT.begin(person or dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    return str(grant["uri"])


def at_once(dserver: Dserver, acts: Mapping[str, Callable[[Person], TestResponse]]) -> list[int]:
    """Let people act at the same moment; return the statuses of their answers."""
    start = threading.Barrier(len(acts))

    def act(name: str) -> int:
        person = Person(dserver.app, dserver.tokens[name])
        start.wait(timeout=30)
        return acts[name](person).status_code

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, acts))


def test_two_completions_at_once_register_one_dataset(azure_dserver, blobs):
    for _ in range(3):
        deposit = Deposit(FILES)
        uri = stored(azure_dserver, deposit)
        completes = dict.fromkeys(["alice", "admin"], lambda person, uri=uri: person.complete(uri))
        statuses = at_once(azure_dserver, completes)
        assert 200 in statuses
        assert set(statuses) <= {200, 409}
        check_dataset(azure_dserver, blobs, deposit)


def test_of_two_people_with_one_uuid_one_wins(azure_dserver, blobs):
    for _ in range(3):
        deposit = Deposit(FILES)
        plan = CLIENT.plan(deposit)
        people = ["alice", "carol"]
        begins = dict.fromkeys(
            people, lambda person, plan=plan: person.begin(azure_dserver.base_uri, plan)
        )
        statuses = at_once(azure_dserver, begins)
        assert sorted(statuses) == [200, 409]
        winner = getattr(azure_dserver, people[statuses.index(200)])
        done = CLIENT.upload(winner, azure_dserver.base_uri, deposit)
        assert done.status_code == 200, done.json
        check_dataset(azure_dserver, blobs, deposit)


def test_of_a_completion_and_a_cancellation_at_once_one_wins(azure_dserver, blobs):
    for _ in range(3):
        deposit = Deposit(FILES)
        uri = stored(azure_dserver, deposit)
        path = f"/signed-urls/upload/{encoded(uri)}"
        completed, cancelled = at_once(
            azure_dserver,
            {
                "alice": lambda person, uri=uri: person.complete(uri),
                "admin": lambda person, path=path: person.delete(path),
            },
        )
        if completed == 200:
            assert cancelled == 409
            check_dataset(azure_dserver, blobs, deposit)
        else:
            assert (completed, cancelled) in {(400, 200), (409, 200), (400, 409)}
            assert containers(blobs, deposit.uuid) == {}


def facts(blobs: BlockBlobService, deposit: Deposit) -> object:
    """Return what a dataset's container holds, whoever wrote it last."""
    held = containers(blobs, deposit.uuid)[deposit.uuid]
    return held.metadata, {name: replace(blob, etag="") for name, blob in held.blobs.items()}


@pytest.mark.parametrize(("call", "least"), [("begin", 7), ("complete", 9)])
def test_a_request_that_slept_changes_nothing_that_another_worker_completed(
    make_azure_dserver, azure_proxy, blobs, call, least
):
    dserver = make_azure_dserver(**azure_proxy.settings())
    for at in count(1):
        deposit, completed = Deposit(FILES), []
        uri = f"{dserver.base_uri}/{deposit.uuid}"
        if call == "complete":
            stored(dserver, deposit)

        def overtake(
            request: Request, at=at, deposit=deposit, uri=uri, completed=completed
        ) -> None:
            if request.number != at or completed:
                return
            completed.append(None)
            lose_leases(dserver)
            other = Person(dserver.app, dserver.tokens["alice"])
            if call == "begin":
                stored(dserver, deposit, other)
            assert other.complete(uri).status_code == 200
            completed.append(facts(blobs, deposit))

        azure_proxy.forget()
        azure_proxy.before = overtake
        if call == "complete":
            late = dserver.alice.complete(uri)
        else:
            late = dserver.alice.begin(dserver.base_uri, CLIENT.plan(deposit))
        azure_proxy.heal()
        if not completed:
            break
        # 502 where it slept before it wrote beside the dataset, where nothing is any more.
        assert late.status_code in (200, 409, 502), late.json
        assert facts(blobs, deposit) == completed[-1]
        assert dserver.alice.complete(uri).status_code == 200
        check_readable(dserver, deposit)
    assert at > least
