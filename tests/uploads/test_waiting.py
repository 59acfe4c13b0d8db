"""Completing an upload of many items, by a client that waits for some seconds at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import update
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.permissions import permit_operator
from dserver_signed_url_plugin.uploads import repository
from dserver_signed_url_plugin.uploads.complete import Completing, Completion
from dserver_signed_url_plugin.uploads.lease import leased
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import Dserver, encoded
from tests.support.large_store import LargeStore
from tests.support.request_costs import counted, deposit_of

PINNED, STAGED = DtoolDserver(), DserverClientJS()


@pytest.fixture
def large() -> Iterator[LargeStore]:
    store = LargeStore()
    with store as store.bucket:
        yield store


@pytest.fixture
def dserver(large: LargeStore, make_dserver_on: Callable[..., Dserver]) -> Dserver:
    return make_dserver_on(large.bucket)


def begun(dserver: Dserver, large: LargeStore, client: DtoolDserver, deposit: Deposit) -> str:
    """Announce a deposit and store its items; return its URI."""
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    large.put_all(grant, deposit)
    large.forget()
    uri: str = grant["uri"]
    return uri


def complete(dserver: Dserver, uri: str, wait_seconds: object) -> TestResponse:
    body = {"uri": uri, "wait_seconds": wait_seconds}
    return dserver.alice.post("/signed-urls/upload-complete", body)


def status(dserver: Dserver, uri: str) -> Any:
    return dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}").json


def slices(dserver: Dserver, uri: str) -> Iterator[Completion | Completing]:
    """Complete in calls for which nobody waits, until one has registered the dataset."""
    dataset = DatasetURI.parse(uri)
    done: Completion | Completing | None = None
    while not isinstance(done, Completion):
        with dserver.app.app_context():
            permit = permit_operator(dataset.base)
            done = dserver.services.completions.complete(permit, dataset.uuid, 0)
        yield done


def test_a_client_that_waits_a_second_is_answered_until_all_is_done(dserver, large):
    large.seconds["COPY"] = 0.15
    uri = begun(dserver, large, STAGED, deposit_of(200))
    done = [0]
    while (answer := complete(dserver, uri, 1)).status_code == 202:
        assert answer.headers["Retry-After"] == "1"
        assert (
            answer.json.items() >= {"uri": uri, "status": "completing", "items_total": 200}.items()
        )
        done.append(answer.json["items_done"])
        assert status(dserver, uri)["completing"] == {"items_done": done[-1], "items_total": 200}
    assert (answer.status_code, answer.json["status"]) == (200, "registered")
    assert len(done) > 1
    assert done == sorted(set(done))
    assert large.requests["COPY"] == 200
    assert complete(dserver, uri, 1).json == answer.json


def test_each_call_goes_on_where_the_one_before_has_ended(dserver, large):
    large.seconds["COPY"] = 0.02
    uri = begun(dserver, large, STAGED, deposit_of(48))
    *under_way, last = slices(dserver, uri)
    assert 1 <= len(under_way) <= 48 / 16 + 1
    done = [completing.items_done for completing in under_way]
    assert done == sorted(set(done))
    assert large.requests["COPY"] == 48
    assert last.number_of_items == 48


def test_pinned_items_need_no_further_call(dserver, large):
    uri = begun(dserver, large, PINNED, deposit_of(20))
    assert [type(done) for done in slices(dserver, uri)] == [Completion]


def test_while_another_request_works_a_client_that_waits_is_told_how_far_it_is(dserver, large):
    uri = begun(dserver, large, STAGED, deposit_of(3))
    with dserver.app.app_context():
        upload = repository.find(DatasetURI.parse(uri).uuid)
        with leased(upload) as lease:
            lease.items_done = 2
            lease.check()
            answer = complete(dserver, uri, 1)
            assert dserver.alice.complete(uri).status_code == 409
    assert (answer.status_code, answer.json["items_done"]) == (202, 2)
    assert complete(dserver, uri, 60).status_code == 200


def test_a_completion_that_has_failed_is_not_under_way(dserver, large):
    uri = begun(dserver, large, STAGED, deposit_of(3))
    removed = next(key for key in large.objects if "/data/" in key)
    del large.objects[removed]
    assert complete(dserver, uri, 60).status_code == 400
    assert "completing" not in status(dserver, uri)


def under_way(dserver: Dserver, large: LargeStore) -> str:
    """Complete an upload for a while; return its URI."""
    large.seconds |= {"COPY": 0.1}
    uri = begun(dserver, large, STAGED, deposit_of(100))
    assert isinstance(next(slices(dserver, uri)), Completing)
    return uri


def test_urls_for_what_is_missing_leave_the_progress_of_a_completion(dserver, large):
    uri = under_way(dserver, large)
    before = status(dserver, uri)["completing"]
    assert before["items_done"] > 0
    path = f"/signed-urls/upload/{encoded(uri)}"
    assert dserver.alice.get(path, query_string={"urls": "true"}).status_code == 200
    assert status(dserver, uri)["completing"] == before


def test_a_completion_that_nobody_goes_on_with_is_not_under_way(dserver, large):
    uri = under_way(dserver, large)
    with dserver.app.app_context():
        long_ago = datetime.now(timezone.utc) - timedelta(hours=1)
        aged = {"last_active_at": long_ago, "created_at": long_ago}
        sql_db.session.execute(update(PendingUpload).values(**aged))
        sql_db.session.commit()
    assert "completing" not in status(dserver, uri)
    assert complete(dserver, uri, 60).status_code == 200


@pytest.mark.parametrize("wait_seconds", [0, 61, "1", True, []])
def test_who_waits_too_long_or_not_at_all_is_refused(dserver, wait_seconds):
    answer = complete(dserver, f"{dserver.base_uri}/x", wait_seconds)
    assert (answer.status_code, answer.json["errors"]["slug"]) == (422, "invalid-field")
    assert "wait_seconds" in answer.json["message"]


@pytest.mark.parametrize(
    ("client", "costs"),
    [
        (PINNED, {"GET bucket": 1}),
        (STAGED, {"COPY": 1097, "GET bucket": 2, "POST bucket": 1}),
    ],
    ids=["pinned", "staged"],
)
def test_a_completion_costs_one_request_per_item_that_is_copied_and_per_1000(
    dserver, large, client, costs
):
    few, many = (begun(dserver, large, client, deposit_of(number)) for number in (3, 1100))
    with counted(dserver, large) as cost_of_few:
        assert dserver.alice.complete(few).status_code == 200
    requests = dict(large.requests)
    with counted(dserver, large) as cost_of_many:
        assert dserver.alice.complete(many).status_code == 200
    more = {name: large.requests[name] - requests.get(name, 0) for name in large.requests}
    assert cost_of_many.queries == cost_of_few.queries
    assert {name: count for name, count in more.items() if count} == costs


def test_a_further_call_costs_as_much_as_a_completion_of_nothing(dserver, large):
    uri = begun(dserver, large, STAGED, deposit_of(40))
    for _ in slices(dserver, uri):
        assert large.requests["GET bucket"] <= 5
        assert large.requests["GET"] <= 4
        large.forget()
