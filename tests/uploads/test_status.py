"""GET and DELETE of an upload: how far it has come, what is still to be sent, and giving it up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver, each_client
from tests.support.databases import on_each_database
from tests.support.dserver import encoded
from tests.support.s3_holdings import holdings, verifies

FILES = {"one.txt": b"eins", "two.txt": b"zwei", "three.txt": b"drei!"}


def look(person, uri, **query):
    return person.get(f"/signed-urls/upload/{encoded(uri)}", query_string=query)


def cancel(person, uri):
    return person.delete(f"/signed-urls/upload/{encoded(uri)}")


@pytest.fixture
def deposit():
    return Deposit(FILES)


def put_some(grant, deposit, relpaths):
    """PUT some of the items; the rest was interrupted."""
    for relpath in relpaths:
        item = grant["upload_urls"]["items"][generate_identifier(relpath)]
        answer = requests.put(
            item["url"], deposit.files[relpath], headers=item["headers"], timeout=30
        )
        assert answer.ok


@each_client
def test_an_interrupted_upload_goes_on_where_it_stopped(dserver, client, deposit, dtool_reads):
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    put_some(grant, deposit, ["two.txt"])

    progress = look(dserver.alice, grant["uri"], urls=True).json
    assert progress["items"] == {"expected": 3, "stored": 1, "missing": 2, "wrong": 0}
    assert progress["missing"] == ["one.txt", "three.txt"]
    assert (progress["state"], progress["stored_bytes"]) == ("open", 4)
    assert progress["urls_expire_at"] >= grant["expiry_timestamp"]
    items = progress["upload"]["upload_urls"]["items"]
    assert {item["relpath"] for item in items.values()} == {"one.txt", "three.txt"}
    client.put(progress["upload"], deposit)

    progress = look(dserver.alice, grant["uri"]).json
    assert progress["items"] == {"expected": 3, "stored": 3, "missing": 0, "wrong": 0}
    assert "upload" not in progress
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert verifies(dserver, deposit)
    assert look(dserver.alice, grant["uri"]).json["state"] == "registered"


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


def test_looking_at_an_upload_changes_nothing(dserver, s3, bucket, deposit):
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    before = holdings(s3, bucket, deposit.uuid)
    assert look(dserver.alice, grant["uri"]).status_code == 200
    assert holdings(s3, bucket, deposit.uuid) == before


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


def test_cancelling_deletes_everything_and_may_be_repeated(dserver, s3, bucket, deposit):
    client = DtoolDserver()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    before = s3.list_objects_v2(Bucket=bucket.name)["Contents"]

    answer = cancel(dserver.alice, grant["uri"])
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    # All but the registration key are below the UUID.
    assert answer.json["objects"] == len(before) - 1
    assert s3.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    again = cancel(dserver.alice, grant["uri"])
    assert (again.status_code, again.json["objects"]) == (200, 0)
    assert look(dserver.alice, grant["uri"]).status_code == 404
    assert dserver.alice.complete(grant["uri"]).status_code == 400


def test_what_was_cancelled_can_be_begun_again(dserver, deposit, dtool_reads):
    client = DtoolDserver()
    cancel(dserver.alice, client.begin(dserver.alice, dserver.base_uri, deposit)["uri"])
    assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    assert verifies(dserver, deposit)


def test_what_was_cancelled_is_not_given_to_other_contents_while_urls_live(dserver, deposit):
    client = DtoolDserver()
    cancel(dserver.alice, client.begin(dserver.alice, dserver.base_uri, deposit)["uri"])
    other = Deposit({"one.txt": b"other"}, uuid=deposit.uuid)
    for person in (dserver.alice, dserver.carol):
        assert person.begin(dserver.base_uri, client.plan(other)).status_code == 409


def test_a_registered_dataset_cannot_be_cancelled(dserver, deposit, dtool_reads):
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).json["uri"]
    assert cancel(dserver.alice, uri).status_code == 409
    assert verifies(dserver, deposit)


@on_each_database
def test_cancelling_and_completing_at_once_leave_a_dataset_or_nothing(
    dserver, s3, bucket, dtool_reads
):
    for _ in range(5):
        client, deposit = DserverClientJS(), Deposit(FILES)
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(dserver.alice.complete, grant["uri"])
            given_up = pool.submit(cancel, dserver.alice, grant["uri"])
        statuses = done.result().status_code, given_up.result().status_code
        if statuses[0] == 200:
            assert statuses[1] == 409
            assert verifies(dserver, deposit)
        else:
            assert statuses in {(400, 200), (409, 200), (400, 409)}
            assert holdings(s3, bucket, deposit.uuid) == {}


@on_each_database
def test_clean_ups_and_a_completion_at_once_leave_a_dataset_or_nothing(
    dserver, s3, bucket, dtool_reads
):
    command = ["cleanup", "--older-than", "0", "--delete-storage", "--force"]

    def clean_up():
        return dserver.app.test_cli_runner().invoke(pending_upload, command).exit_code

    for _ in range(3):
        client, deposit = DserverClientJS(), Deposit(FILES)
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        with ThreadPoolExecutor(3) as pool:
            cleaned = [pool.submit(clean_up) for _ in range(2)]
            done = pool.submit(dserver.alice.complete, grant["uri"])
        assert [code.result() for code in cleaned] == [0, 0]
        if done.result().status_code == 200:
            assert verifies(dserver, deposit)
        else:
            assert done.result().status_code in (400, 409)
            assert holdings(s3, bucket, deposit.uuid) == {}


def test_urls_that_have_ended_do_not_end_an_upload(dserver, deposit):
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    soon = datetime.now(timezone.utc) + timedelta(seconds=1000)
    query = {"urls": True, "expiry_seconds": 900}
    fresh = look(dserver.alice, grant["uri"], **query).json["upload"]
    assert fresh["expiry_seconds"] == 900
    assert fresh["expiry_timestamp"] < soon.strftime("%Y-%m-%dT%H:%M:%S")
    assert look(dserver.alice, grant["uri"], urls=True, expiry_seconds=0).status_code == 422
