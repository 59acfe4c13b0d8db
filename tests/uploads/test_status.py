"""GET and DELETE of an upload: how far it has come, what is still to be sent, and giving it up."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import CLIENTS, Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import encoded

FILES = {"one.txt": b"eins", "two.txt": b"zwei", "three.txt": b"drei!"}


def look(person, uri, **query):
    return person.get(f"/signed-urls/upload/{encoded(uri)}", query_string=query)


def cancel(person, uri):
    return person.delete(f"/signed-urls/upload/{encoded(uri)}")


@pytest.fixture
def deposit():
    return Deposit(FILES, more={"tags": ["t"], "annotations": {"a": 1}})


def put_some(grant, deposit, relpaths):
    """PUT some of the items; the rest was interrupted."""
    for relpath in relpaths:
        item = grant["upload_urls"]["items"][generate_identifier(relpath)]
        answer = requests.put(
            item["url"], deposit.files[relpath], headers=item["headers"], timeout=30
        )
        assert answer.ok


@pytest.mark.parametrize(
    ("place", "client"),
    [*(("bucket", client) for client in CLIENTS), ("account", DtoolDserver())],
    indirect=["place"],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_interrupted_upload_goes_on_where_it_stopped(placed, holdings, client, deposit):
    grant = client.begin(placed.alice, placed.base_uri, deposit)
    put_some(grant, deposit, ["two.txt"])

    before = holdings.of(deposit.uuid)
    progress = look(placed.alice, grant["uri"], urls=True).json
    assert holdings.of(deposit.uuid) == before
    assert progress["items"] == {"expected": 3, "stored": 1, "missing": 2, "wrong": 0}
    assert progress["missing"] == ["one.txt", "three.txt"]
    assert (progress["state"], progress["stored_bytes"]) == ("open", 4)
    assert progress["urls_expire_at"] >= grant["expiry_timestamp"]
    items = progress["upload"]["upload_urls"]["items"]
    assert {item["relpath"] for item in items.values()} == {"one.txt", "three.txt"}
    client.put(progress["upload"], deposit)

    progress = look(placed.alice, grant["uri"]).json
    assert progress["items"] == {"expected": 3, "stored": 3, "missing": 0, "wrong": 0}
    assert "upload" not in progress
    assert placed.alice.complete(grant["uri"]).status_code == 200
    holdings.check_dataset(placed, deposit)
    assert holdings.verifies(placed, deposit)
    assert look(placed.alice, grant["uri"]).json["state"] == "registered"


def test_what_is_wrong_is_named_and_can_be_sent_again(dserver, deposit):
    client = DserverClientJS()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    one = grant["upload_urls"]["items"][generate_identifier("one.txt")]
    assert requests.put(one["url"], b"other", timeout=30).ok

    progress = look(dserver.alice, grant["uri"], urls=True).json
    assert progress["items"] == {"expected": 3, "stored": 2, "missing": 0, "wrong": 1}
    [wrong] = progress["mismatched"]
    assert (wrong["relpath"], wrong["found"]["size_in_bytes"]) == ("one.txt", 5)
    client.put(progress["upload"], deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_looking_at_an_upload_changes_nothing(placed, holdings, deposit):
    grant = DtoolDserver().begin(placed.alice, placed.base_uri, deposit)
    before = holdings.of(deposit.uuid)
    assert look(placed.alice, grant["uri"]).status_code == 200
    assert holdings.of(deposit.uuid) == before


@pytest.mark.parametrize("act", [look, cancel])
def test_an_upload_is_its_uploaders_or_an_admins(dserver, deposit, act):
    uri = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)["uri"]
    for person, status in (
        (dserver.nobody, 401),
        (dserver.dave, 403),
        (dserver.bob, 403),
        (dserver.carol, 403),
        (dserver.admin, 200),
    ):
        assert act(person, uri).status_code == status


def test_an_unknown_upload_is_not_found(dserver, deposit):
    assert look(dserver.alice, f"{dserver.base_uri}/{deposit.uuid}").status_code == 404


def test_urls_that_have_ended_do_not_end_an_upload(dserver, deposit):
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    soon = datetime.now(timezone.utc) + timedelta(seconds=1000)
    query = {"urls": True, "expiry_seconds": 900}
    fresh = look(dserver.alice, grant["uri"], **query).json["upload"]
    assert fresh["expiry_seconds"] == 900
    assert fresh["expiry_timestamp"] < soon.strftime("%Y-%m-%dT%H:%M:%S")
    assert look(dserver.alice, grant["uri"], urls=True, expiry_seconds=0).status_code == 422
