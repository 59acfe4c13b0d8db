"""What is not the person's fault is said as helpfully, tells no secret, and can be repeated."""

from __future__ import annotations

import json
from typing import Any

import dservercore.utils
import pytest

from dserver_signed_url_plugin.demo.app import DEPOSITORS, SEARCHERS
from dserver_signed_url_plugin.demo.store import free_port
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.refusals import assert_refused, nothing_is_written

CLIENT = DtoolDserver()
UUID = Deposit().uuid


def settle(dserver: Dserver, base_uri: str, uuid: str = UUID) -> str:
    """Let dserver know a base URI, alice's permissions, and a dataset there; return its URI."""
    uri = f"{base_uri}/{uuid}"
    info = {
        "uuid": uuid,
        "uri": uri,
        "base_uri": base_uri,
        "name": "my-dataset",
        "type": "dataset",
        "creator_username": "alice",
        "created_at": 1_700_000_000.0,
        "frozen_at": 1_700_000_000.0,
        "readme": "",
        "manifest": {"items": {}},
        "annotations": {},
        "tags": [],
        "number_of_items": 0,
        "size_in_bytes": 0,
    }
    with dserver.app.app_context():
        if not dservercore.utils.base_uri_exists(base_uri):
            dservercore.utils.register_base_uri(base_uri)
        dservercore.utils.register_permissions(
            base_uri,
            {
                "users_with_search_permissions": SEARCHERS,
                "users_with_register_permissions": DEPOSITORS,
            },
        )
        dservercore.utils.register_dataset(info)
    return uri


def setting(dserver_bucket: Any, part: str) -> str:
    """One of dtool's variables, as Flask's config keeps it."""
    return f"DTOOL_S3_{part}_{dserver_bucket.name}".upper()


def ask_everything(dserver: Dserver, uri: str) -> dict[str, Any]:
    """Ask for the URLs of a dataset and an item, and begin an upload."""
    base_uri = uri.rpartition("/")[0]
    return {
        "dataset": dserver.alice.read(uri),
        "item": dserver.alice.read_item(uri, "0" * 40),
        "upload": dserver.alice.begin(base_uri, CLIENT.plan(Deposit())),
    }


@pytest.fixture(params=["no bucket", "unknown key", "away", "half configured"])
def broken(request, make_dserver, bucket, s3) -> Dserver:
    """A dserver whose store refuses it, or is away."""
    if request.param == "no bucket":
        s3.delete_bucket(Bucket=bucket.name)
    changed = {
        "no bucket": {},
        "unknown key": {setting(bucket, "ACCESS_KEY_ID"): "AKUNKNOWNUNKNOWN"},
        "away": {setting(bucket, "ENDPOINT"): f"http://127.0.0.1:{free_port()}"},
        "half configured": {setting(bucket, "SECRET_ACCESS_KEY"): ""},
    }
    return make_dserver(**changed[request.param])


def test_a_store_that_refuses_or_is_away_is_said_to_be_so(broken, bucket, caplog):
    uri = settle(broken, broken.base_uri)
    for answer in ask_everything(broken, uri).values():
        assert_refused(answer, 502, bucket.name)
        said = json.dumps(answer.json) + caplog.text
        for secret in (bucket.secret_key, bucket.access_key, broken.tokens["alice"], "Traceback"):
            assert secret not in said


def test_an_upload_that_met_a_missing_bucket_can_be_repeated(make_dserver, bucket, s3, store):
    s3.delete_bucket(Bucket=bucket.name)
    dserver, deposit = make_dserver(), Deposit()
    plan = CLIENT.plan(deposit)
    assert_refused(dserver.alice.begin(dserver.base_uri, plan), 502, "no bucket")
    store.create_bucket(bucket.name)
    assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200


def test_a_completion_that_met_a_missing_bucket_can_be_repeated(dserver, bucket, s3, store):
    deposit = Deposit()
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    for found in s3.list_objects_v2(Bucket=bucket.name)["Contents"]:
        s3.delete_object(Bucket=bucket.name, Key=found["Key"])
    s3.delete_bucket(Bucket=bucket.name)
    assert_refused(dserver.alice.complete(grant["uri"]), 502, "no bucket")

    store.create_bucket(bucket.name)
    # All that was in it is gone, and the person is told how to go on.
    assert_refused(dserver.alice.complete(grant["uri"]), 400, "announce")
    assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200


@pytest.mark.parametrize(
    ("base_uri", "named"),
    [
        ("nosuch://place", "nosuch"),
        ("file://localhost/data", "DiskStorageBroker"),
    ],
)
def test_a_storage_that_cannot_sign_is_named(lab, base_uri, named):
    uri = settle(lab, base_uri)
    with nothing_is_written(lab):
        for answer in ask_everything(lab, uri).values():
            assert_refused(answer, 501, named)


@on_each_database
@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS()])
def test_a_locked_database_is_said_to_be_busy_and_nothing_is_lost(make_dserver, database, client):
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=database.impatient)
    url = dserver.app.config["SQLALCHEMY_DATABASE_URI"]
    deposit = Deposit()
    plan = client.plan(deposit)
    with nothing_is_written(dserver), database.locked(url):
        assert_busy(dserver.alice.begin(dserver.base_uri, plan))

    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    with nothing_is_written(dserver), database.locked(url):
        assert_busy(dserver.alice.begin(dserver.base_uri, plan))
        assert_busy(dserver.alice.complete(grant["uri"]))
    assert dserver.alice.complete(grant["uri"]).status_code == 200

    with database.locked(url):
        # Nothing is written for reading, so nobody has to wait.
        assert dserver.bob.read(grant["uri"]).status_code == 200


def assert_busy(answer: Any) -> None:
    assert_refused(answer, 503, "again")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_failing_token_is_no_fault_of_the_server(lab):
    for header in ("Bearer", "Bearer  ", "Basic YTpi", "bearer x", "Bearer a b", "\u00e4"):
        headers = {"Authorization": header}
        answer = lab.app.test_client().get("/signed-urls/dataset/s3:%2F%2Fx%2Fy", headers=headers)
        assert_refused(answer, 401, "token")
