"""Who may do what, and that nobody learns more than that."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import dtoolcore
import pytest
import requests
from dservercore import sql_db
from flask_jwt_extended import create_access_token

from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DserverClientJS, DtoolDserver, RelpathsOnly, urls_in
from tests.support.dserver import Dserver, Person, encoded
from tests.support.refusals import assert_refused, nothing_is_written

CLIENT = DtoolDserver()
UNKNOWN = "s3://another-lab"
ITEM = "0" * 40


def doors(person: Person, base_uri: str, body: Any = None) -> dict[str, Any]:
    """Knock at each of the four doors."""
    uri = f"{base_uri}/{Deposit().uuid}"
    return {
        "dataset": person.read(uri),
        "item": person.read_item(uri, ITEM),
        "upload": person.begin(base_uri, body if body is not None else CLIENT.plan(Deposit())),
        "complete": person.post(
            "/signed-urls/upload-complete", body if body is not None else {"uri": uri}
        ),
    }


def expired(dserver: Dserver) -> str:
    with dserver.app.app_context():
        return create_access_token("alice", expires_delta=timedelta(seconds=-60))


def row(dserver: Dserver, uuid: str) -> PendingUpload | None:
    with dserver.app.app_context():
        return sql_db.session.scalar(sql_db.select(PendingUpload).filter_by(uuid=uuid))


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", "forged", "expired"])
def test_identity_is_checked_before_anything_else(lab, token):
    token = {"forged": lab.tokens["alice"][:-20] + "A" * 20, "expired": expired(lab)}.get(
        token, token
    )
    person = Person(lab.app, token)
    with nothing_is_written(lab):
        for body in (None, {"uuid": 7, "surprise": True}, []):
            for answer in doors(person, lab.base_uri, body).values():
                assert_refused(answer, 401, "token")
                assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_expired_token_is_said_to_be_expired(lab):
    assert_refused(Person(lab.app, expired(lab)).read(f"{lab.base_uri}/x"), 401, "expired")


def test_no_body_is_read_for_nobody(lab):
    path = f"/signed-urls/upload/{encoded(lab.base_uri)}"
    for data in ("{", "[" * 100_000, b"\xff"):
        answer = lab.nobody.post(path, data=data, headers={"Content-Type": "application/json"})
        assert_refused(answer, 401, "token")


@pytest.mark.parametrize(
    ("name", "open_doors"),
    [
        ("alice", {"dataset", "item", "upload", "complete"}),
        ("carol", {"dataset", "item", "upload", "complete"}),
        ("bob", {"dataset", "item"}),
        ("dave", set()),
        ("admin", {"complete"}),
    ],
)
def test_each_person_passes_the_doors_that_permissions_open(lab, name, open_doors):
    for door, answer in doors(getattr(lab, name), lab.base_uri).items():
        if door in open_doors:
            # Inside, nothing is known of a dataset that was never deposited.
            expected = {"dataset": 404, "item": 404, "upload": 200, "complete": 400}[door]
            assert answer.status_code == expected, (door, answer.json)
        else:
            assert_refused(answer, 403, name, "permission", lab.base_uri)


@pytest.mark.parametrize("name", ["alice", "bob", "carol", "dave"])
def test_nobody_passes_at_a_base_uri_that_dserver_does_not_know(lab, name):
    with nothing_is_written(lab):
        for answer in doors(getattr(lab, name), UNKNOWN).values():
            assert_refused(answer, 403, "permission", UNKNOWN)


def test_whoever_dserver_does_not_know_is_denied(lab):
    with lab.app.app_context():
        stranger = Person(lab.app, create_access_token("mallory"))
    with nothing_is_written(lab):
        for answer in doors(stranger, lab.base_uri).values():
            assert_refused(answer, 403, "mallory", "permission")


def test_another_depositor_can_neither_resume_nor_complete_an_upload(lab):
    deposit = Deposit()
    grant = CLIENT.begin(lab.alice, lab.base_uri, deposit)
    CLIENT.put(grant, deposit)
    with nothing_is_written(lab):
        for other in (lab.carol, lab.bob, lab.dave):
            assert_refused(other.complete(grant["uri"]), 403)
        refused = lab.carol.begin(lab.base_uri, CLIENT.plan(deposit))
        assert_refused(refused, 409, "by someone else; use a new UUID")
        assert refused.json["errors"] == {"slug": "upload-of-another"}
    assert lab.alice.complete(grant["uri"]).status_code == 200


def test_an_admin_can_complete_what_somebody_began(lab):
    deposit = Deposit()
    grant = CLIENT.begin(lab.alice, lab.base_uri, deposit)
    CLIENT.put(grant, deposit)
    assert lab.admin.complete(grant["uri"]).status_code == 200
    assert lab.bob.read(grant["uri"]).status_code == 200


@pytest.mark.parametrize("client", [DtoolDserver(), RelpathsOnly()])
def test_the_claimed_creator_goes_into_dtool_and_the_uploader_stays_known(
    dserver, client, dtool_reads
):
    deposit = Deposit(more={"creator_username": "prof"})
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    held = row(dserver, deposit.uuid)
    assert (held.creator_username, held.uploader) == ("prof", "alice")

    client.put(grant, deposit)
    # Named as creator, yet not who began it.
    assert dserver.carol.complete(grant["uri"]).status_code == 403
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    read = dserver.bob.read(grant["uri"]).json
    stored = requests.get(read["admin_metadata_url"], timeout=30).json()
    assert stored["creator_username"] == "prof"
    assert dtoolcore.DataSet.from_uri(grant["uri"]).admin_metadata["creator_username"] == "prof"
    listed = dserver.bob.post("/uris", {}).json
    assert [entry["creator_username"] for entry in listed] == ["prof"]


def test_claiming_somebody_as_creator_gives_that_person_no_rights(lab):
    deposit = Deposit(more={"creator_username": "carol"})
    grant = CLIENT.begin(lab.alice, lab.base_uri, deposit)
    assert_refused(lab.carol.complete(grant["uri"]), 403)
    assert row(lab, deposit.uuid).uploader == "alice"


def test_dserver_without_tokens_acts_for_its_default_user(make_dserver):
    dserver = make_dserver(DISABLE_JWT_AUTHORISATION=True, DEFAULT_USER="alice")
    deposit = Deposit()
    grant = CLIENT.begin(dserver.nobody, dserver.base_uri, deposit)
    assert row(dserver, deposit.uuid).uploader == "alice"
    CLIENT.put(grant, deposit)
    assert dserver.nobody.complete(grant["uri"]).status_code == 200
    assert dserver.nobody.read(grant["uri"]).status_code == 200

    dserver.app.config["DEFAULT_USER"] = "dave"
    assert_refused(dserver.nobody.read(grant["uri"]), 403, "dave")


@pytest.mark.parametrize("client", [DtoolDserver(), DserverClientJS(), RelpathsOnly()])
def test_no_secret_reaches_a_log_line_or_an_error(lab, client, caplog):
    deposit = Deposit()
    with caplog.at_level(logging.DEBUG, logger="dserver_signed_url_plugin"):
        grant = client.begin(lab.alice, lab.base_uri, deposit)
        answers = [lab.alice.complete(grant["uri"]), lab.carol.complete(grant["uri"])]
        client.put(grant, deposit)
        done = lab.alice.complete(grant["uri"])
        read = lab.bob.read(grant["uri"])
        item = lab.bob.read_item(grant["uri"], next(iter(read.json["item_urls"])))
        answers += [lab.dave.read(grant["uri"]), lab.bob.read_item(grant["uri"], ITEM)]
        answers += doors(Person(lab.app, expired(lab)), lab.base_uri).values()
    assert done.status_code == read.status_code == item.status_code == 200

    ours = [line for line in caplog.records if line.name.startswith("dserver_signed_url_plugin")]
    assert ours, "our logger says nothing at all, so this test would see nothing"
    said = "\n".join([caplog.text, *(json.dumps(answer.json) for answer in answers)])
    assert all(answer.status_code >= 400 for answer in answers)
    signatures = [
        url.partition("X-Amz-Signature=")[2] for url in urls_in(grant) + urls_in(read.json)
    ]
    assert len(signatures) > 10
    for secret in (*lab.tokens.values(), lab.bucket.secret_key, "X-Amz-Signature", *signatures):
        assert secret not in said
