"""A worker that slept, and lost its lease meanwhile, changes nothing when it wakes up."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import select
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import CLIENTS, Deposit, RelpathsOnly
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded
from tests.support.pauses import Sleep, another, at_request, lose_leases
from tests.support.proxy import Request
from tests.support.s3_holdings import check_dataset, holdings
from tests.support.search_plugins import Index

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}
SECONDS = 30


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


def pending(dserver: Dserver, deposit: Deposit) -> bool:
    with dserver.app.app_context():
        row = select(PendingUpload.id).where(PendingUpload.uuid == deposit.uuid)
        return sql_db.session.scalar(row) is not None


def check_taken_over(answer: TestResponse) -> None:
    assert answer.status_code == 409, answer.json
    assert "Another request" in answer.json["message"]


@pytest.mark.parametrize("client", CLIENTS[:2], ids=["pinned", "staged"])
def test_an_opening_that_slept_at_any_request_changes_nothing(dserver, proxy, s3, client):
    for at in count(1):
        deposit = Deposit(FILES, more=DESCRIPTIONS)
        stored = {}

        def overtake(deposit: Deposit = deposit, stored: dict[str, Any] = stored) -> TestResponse:
            lose_leases(dserver)
            done = client.upload(another(dserver), dserver.base_uri, deposit)
            stored.update(holdings(s3, dserver.bucket, deposit.uuid))
            return done

        sleep = Sleep(at_request(at), overtake)
        proxy.forget()
        proxy.before = sleep
        late = dserver.alice.begin(dserver.base_uri, client.plan(deposit))
        proxy.heal()
        if not sleep.happened:
            break
        assert sleep.outcome.status_code == 200
        check_taken_over(late)
        assert holdings(s3, dserver.bucket, deposit.uuid) == stored
        check_dataset(dserver, s3, deposit)
        # Nothing is pending any more, so that these answer by what is registered.
        assert dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}").status_code == 200
        again = dserver.alice.begin(dserver.base_uri, client.plan(deposit))
        assert "registered already" in again.json["message"]
    # Two lookups, the claim, three texts, tag, annotation, admin metadata; then it is looked at.
    assert at > 10


@on_each_database
def test_a_late_initiation_leaves_the_row_of_a_running_completion(dserver, proxy, s3):
    client, deposit = RelpathsOnly(), Deposit(FILES)
    frozen, found_occupied = threading.Event(), threading.Event()

    def freeze_and_wait(request: Request) -> None:
        if request.writes(f"{deposit.uuid}/dtool"):
            frozen.set()
            found_occupied.wait(SECONDS)

    def overtake() -> Future[TestResponse]:
        lose_leases(dserver)
        client.put(client.begin(another(dserver), dserver.base_uri, deposit), deposit)
        proxy.after = freeze_and_wait
        uri = f"{dserver.base_uri}/{deposit.uuid}"
        completing = pool.submit(lambda: another(dserver).complete(uri))
        assert frozen.wait(SECONDS)
        return completing

    def looks_for_a_dataset(request: Request) -> bool:
        return request.method == "HEAD" and request.target.endswith(f"{deposit.uuid}/dtool")

    with ThreadPoolExecutor(1) as pool:
        proxy.before = sleep = Sleep(looks_for_a_dataset, overtake)
        try:
            late = dserver.alice.begin(dserver.base_uri, client.plan(deposit))
            kept = pending(dserver, deposit)
        finally:
            found_occupied.set()
        done = sleep.outcome.result(SECONDS)
    check_taken_over(late)
    assert (kept, done.status_code) == (True, 200)
    assert not pending(dserver, deposit)
    check_dataset(dserver, s3, deposit)


def test_a_cancellation_that_slept_while_it_looked_deletes_nothing(dserver, proxy, s3):
    client, deposit = RelpathsOnly(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)

    def overtake() -> TestResponse:
        lose_leases(dserver)
        return another(dserver).complete(grant["uri"])

    proxy.before = sleep = Sleep(lambda request: "list-type=2" in request.target, overtake)
    late = dserver.alice.delete(f"/signed-urls/upload/{encoded(grant['uri'])}")
    proxy.heal()
    assert sleep.outcome.status_code == 200
    check_taken_over(late)
    check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize(
    ("written", "away"),
    [
        ("dtool", False),
        ("dtool", True),
        ("README.yml", False),
    ],
    ids=["frozen", "frozen-index-away", "freezing"],
)
def test_a_completion_that_slept_keeps_an_old_manifest_to_itself(dserver, proxy, s3, written, away):
    # Nobody said what the items are, so that the latest PUT before a completion counts.
    client, before = RelpathsOnly(), Deposit(FILES)
    after = replace(before, files={**FILES, "one.txt": b"ganz anders"})
    grant = client.begin(dserver.alice, dserver.base_uri, before)
    client.put(grant, before)
    dserver.app.search = index = Index(dserver.app.search)

    def overtake() -> TestResponse:
        lose_leases(dserver)
        url = grant["upload_urls"]["items"][generate_identifier("one.txt")]["url"]
        assert requests.put(url, data=after.files["one.txt"], timeout=SECONDS).ok
        index.is_away = away
        done = another(dserver).complete(grant["uri"])
        index.is_away = False
        return done

    proxy.after = sleep = Sleep(lambda request: request.writes(f"/{written}"), overtake)
    late = dserver.alice.complete(grant["uri"])
    proxy.heal()
    assert sleep.outcome.status_code == (502 if away else 200)
    check_taken_over(late)

    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, after)
    check_manifest(dserver, s3, after)


def check_manifest(dserver: Dserver, s3: Any, deposit: Deposit) -> None:
    """Fail unless registered and stored manifest are the same."""
    with dserver.app.app_context():
        registered = dserver.app.retrieve.get_manifest(f"{dserver.base_uri}/{deposit.uuid}")
    stored = holdings(s3, dserver.bucket, deposit.uuid)
    assert json.loads(stored[f"{deposit.uuid}/manifest.json"].content) == registered
