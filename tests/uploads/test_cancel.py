"""DELETE of an upload: all of it goes, unless it was completed before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.s3_holdings import holdings as s3_holdings
from tests.support.s3_holdings import verifies
from tests.uploads.test_status import FILES, cancel, look


@pytest.fixture
def deposit():
    return Deposit(FILES, more={"tags": ["t"], "annotations": {"a": 1}})


def test_cancelling_deletes_everything_and_may_be_repeated(placed, holdings, deposit):
    client = DtoolDserver()
    grant = client.begin(placed.alice, placed.base_uri, deposit)
    client.put(grant, deposit)
    before = holdings.sizes(deposit.uuid)

    answer = cancel(placed.alice, grant["uri"])
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert (answer.json["objects"], answer.json["bytes"]) == (len(before), sum(before))
    assert len(before) > len(FILES)
    assert holdings.is_empty()
    again = cancel(placed.alice, grant["uri"])
    assert (again.status_code, again.json["objects"]) == (200, 0)
    assert look(placed.alice, grant["uri"]).status_code == 404
    assert placed.alice.complete(grant["uri"]).status_code == 400


def test_what_was_cancelled_can_be_begun_again(placed, holdings, deposit):
    client = DtoolDserver()
    cancel(placed.alice, client.begin(placed.alice, placed.base_uri, deposit)["uri"])
    assert client.upload(placed.alice, placed.base_uri, deposit).status_code == 200
    holdings.check_dataset(placed, deposit)
    assert holdings.verifies(placed, deposit)


def test_what_was_cancelled_is_not_given_to_other_contents_while_urls_live(dserver, deposit):
    client = DtoolDserver()
    cancel(dserver.alice, client.begin(dserver.alice, dserver.base_uri, deposit)["uri"])
    other = Deposit({"one.txt": b"other"}, uuid=deposit.uuid)
    for person in (dserver.alice, dserver.carol):
        assert person.begin(dserver.base_uri, client.plan(other)).status_code == 409


def test_a_registered_dataset_cannot_be_cancelled(placed, holdings, deposit):
    uri = DtoolDserver().upload(placed.alice, placed.base_uri, deposit).json["uri"]
    assert cancel(placed.alice, uri).status_code == 409
    holdings.check_dataset(placed, deposit)
    assert holdings.verifies(placed, deposit)


@on_each_database
@pytest.mark.parametrize(
    ("place", "client"),
    [("bucket", DserverClientJS()), ("account", DtoolDserver())],
    indirect=["place"],
    ids=["bucket", "account"],
)
def test_cancelling_and_completing_at_once_leave_a_dataset_or_nothing(placed, holdings, client):
    for _ in range(5):
        deposit = Deposit(FILES)
        grant = client.begin(placed.alice, placed.base_uri, deposit)
        client.put(grant, deposit)
        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(placed.alice.complete, grant["uri"])
            given_up = pool.submit(cancel, placed.admin, grant["uri"])
        statuses = done.result().status_code, given_up.result().status_code
        if statuses[0] == 200:
            assert statuses[1] == 409
            holdings.check_dataset(placed, deposit)
            assert holdings.verifies(placed, deposit)
        else:
            assert statuses in {(400, 200), (409, 200), (400, 409)}
            assert holdings.of(deposit.uuid) == {}


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
            assert s3_holdings(s3, bucket, deposit.uuid) == {}
