"""Every request to the doors is one decision: a line in the log and a row in the table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask_jwt_extended import create_access_token

from dserver_signed_url_plugin.audit.decisions import Decision
from tests.support.audit_records import audit, check_rows, rows, said, written
from tests.support.clients import Deposit, DtoolDserver, RelpathsOnly
from tests.support.dserver import Person, encoded
from tests.support.refusals import assert_refused

CLIENT = DtoolDserver()
ITEM = "0" * 40


def test_the_life_of_a_dataset_is_one_decision_for_each_call(dserver, caplog):
    deposit = Deposit()
    size = sum(map(len, deposit.files.values()))
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    uri, number = grant["uri"], len(deposit.files)
    upload = f"/signed-urls/upload/{encoded(uri)}"
    looked = dserver.alice.get(upload)
    again = dserver.alice.get(upload, query_string={"urls": "true"})
    done = [dserver.alice.complete(uri), dserver.alice.complete(uri)]
    read = dserver.bob.read(uri)
    item = dserver.bob.read_item(uri, next(iter(read.json["item_urls"])))
    seen = audit(dserver.alice, uri)
    answers = [looked, again, *done, read, item, seen]
    assert [answer.status_code for answer in answers] == [200] * len(answers)

    names = ("username", "action", "items", "size_in_bytes", "expires_at")
    facts = [tuple(line[name] for name in names) for line in said(caplog)]
    assert facts == [
        ("alice", "upload-begin", number, size, grant["expiry_timestamp"]),
        ("alice", "upload-status", None, None, None),
        ("alice", "upload-status", 0, 0, again.json["upload"]["expiry_timestamp"]),
        ("alice", "upload-complete", number, size, None),
        ("alice", "upload-complete", number, size, None),
        ("bob", "read-dataset", number, size, read.json["expiry_timestamp"]),
        ("bob", "read-item", 1, None, item.json["expiry_timestamp"]),
        ("alice", "audit-read", None, None, None),
    ]
    for line in said(caplog):
        assert (line["outcome"], line["reason"], line["uri"]) == ("granted", None, uri)
        assert line["address"] == "127.0.0.1"
        age = datetime.now(timezone.utc) - datetime.fromisoformat(
            line["time"].replace("Z", "+00:00")
        )
        assert timedelta(0) <= age < timedelta(minutes=1)
    assert check_rows(dserver, said(caplog)) == len(facts)
    # The page was answered before its own reading was a decision.
    shown = [{**line, "address": None} for line in said(caplog)[-2::-1]]
    assert seen.json == {"uri": uri, "decisions": shown, "next": None}


def test_bytes_that_nobody_announced_are_not_made_up(dserver, caplog):
    deposit = Deposit()
    RelpathsOnly().upload(dserver.alice, dserver.base_uri, deposit)
    size = sum(map(len, deposit.files.values()))
    # Registered, they are known.
    assert [line["size_in_bytes"] for line in said(caplog)] == [None, size]


def test_an_upload_that_is_cancelled_is_written_down_too(dserver, caplog):
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, Deposit())
    path = f"/signed-urls/upload/{encoded(grant['uri'])}"
    headers = {"Authorization": f"Bearer {dserver.tokens['alice']}"}
    freed = dserver.app.test_client().delete(path, headers=headers).json["bytes"]
    line = said(caplog)[-1]
    assert (line["action"], line["uri"]) == ("upload-cancel", grant["uri"])
    assert (line["items"], line["size_in_bytes"]) == (None, freed)
    assert check_rows(dserver, said(caplog)) == 2


REFUSALS = {
    "nobody": ("nobody", "read", 401, "not-authenticated"),
    "no permission": ("dave", "read", 403, "permission-denied"),
    "no dataset": ("bob", "read", 404, "dataset-not-found"),
    "no such item": ("bob", "item", 404, "dataset-not-found"),
    "no life": ("bob", "no life", 422, "invalid-field"),
    "too long a life": ("bob", "long life", 422, "lifetime-too-long"),
    "no permission to upload": ("bob", "begin", 403, "permission-denied"),
    "not announced": ("alice", "complete", 400, "no-pending-upload"),
    "nothing to look at": ("alice", "look", 404, "upload-not-found"),
    "no permission to see": ("bob", "audit", 403, "permission-denied"),
    "too long a page": ("alice", "long page", 422, "invalid-field"),
}


@pytest.mark.parametrize(("name", "door", "status", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_every_refusal_is_one_decision_with_its_reason(lab, caplog, name, door, status, reason):
    plan, person = CLIENT.plan(Deposit()), getattr(lab, name)
    uri = f"{lab.base_uri}/{plan['uuid']}"
    doors: dict[str, tuple[str, Callable[[], Any]]] = {
        "read": ("read-dataset", lambda: person.read(uri)),
        "item": ("read-item", lambda: person.read_item(uri, ITEM)),
        "no life": ("read-dataset", lambda: person.read(uri, expiry_seconds=0)),
        "long life": ("read-dataset", lambda: person.read(uri, expiry_seconds=10**9)),
        "begin": ("upload-begin", lambda: person.begin(lab.base_uri, plan)),
        "complete": ("upload-complete", lambda: person.complete(uri)),
        "look": ("upload-status", lambda: person.get(f"/signed-urls/upload/{encoded(uri)}")),
        "audit": ("audit-read", lambda: audit(person, uri)),
        "long page": ("audit-read", lambda: audit(person, uri, limit=1001)),
    }
    action, knock = doors[door]
    # Whoever may not begin an upload is refused before anybody reads of which.
    uri = lab.base_uri if door == "begin" else uri
    before = len(rows(lab))
    assert_refused(knock(), status)
    (line,) = said(caplog)
    who = "" if name == "nobody" else name
    assert written(lab)[before:] == [(who, action, uri, reason)]
    names = ("username", "action", "uri", "reason", "outcome", "items", "expires_at")
    assert [line[name] for name in names] == [who, action, uri, reason, "refused", None, None]


def test_a_body_that_cannot_be_read_is_a_refusal_at_the_base_uri(dserver):
    path = f"/signed-urls/upload/{encoded(dserver.base_uri)}"
    assert_refused(dserver.alice.post(path, {"uuid": 7}), 422)
    assert_refused(dserver.alice.post(path, data="{", content_type="application/json"), 400)
    assert written(dserver) == [
        ("alice", "upload-begin", dserver.base_uri, "invalid-field"),
        ("alice", "upload-begin", dserver.base_uri, "unreadable-body"),
    ]


def test_a_forged_or_expired_token_names_nobody(dserver):
    with dserver.app.app_context():
        expired = create_access_token("alice", expires_delta=timedelta(seconds=-60))
    for token in (expired, dserver.tokens["alice"][:-20] + "A" * 20, "x"):
        assert_refused(Person(dserver.app, token).read(f"{dserver.base_uri}/x"), 401)
    assert {(row["username"], row["reason"]) for row in rows(dserver)} == {
        ("", "not-authenticated")
    }


@pytest.mark.parametrize("passed_on", [True, False])
def test_what_breaks_the_server_is_written_down_as_well(make_dserver, passed_on, caplog):
    # Flask passes on to its caller what nobody expected while TESTING, and answers 500 otherwise.
    dserver = make_dserver(TESTING=passed_on, PROPAGATE_EXCEPTIONS=passed_on)
    dserver.app.config["JWT_HEADER_NAME"] = ""
    uri = f"{dserver.base_uri}/{Deposit().uuid}"
    if passed_on:
        with pytest.raises(RuntimeError):
            dserver.bob.read(uri)
    else:
        assert dserver.bob.read(uri).status_code == 500
    assert written(dserver) == [("", "read-dataset", uri, "internal-error")]
    assert check_rows(dserver, said(caplog)) == 1


def test_a_preflight_is_no_decision_and_a_head_is_one(dserver):
    path = f"/signed-urls/dataset/{encoded(f'{dserver.base_uri}/{Deposit().uuid}')}"
    client = dserver.app.test_client()
    assert client.options(path).status_code == 200
    assert rows(dserver) == []
    assert client.head(path).status_code == 401
    assert len(rows(dserver)) == 1


def test_whoever_works_without_a_request_can_record_a_decision(dserver, caplog):
    ends = datetime(2026, 11, 20, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    with dserver.app.app_context():
        dserver.services.audit.record(
            Decision(action="cleanup", username="", uri=dserver.base_uri, expires_at=ends)
        )
    assert written(dserver) == [("", "cleanup", dserver.base_uri, None)]
    assert check_rows(dserver, said(caplog)) == 1


def test_the_line_is_written_wherever_somebody_has_set_up_logging(lab):
    # At INFO by itself: whoever writes down what arrives at the root gets it.
    assert logging.getLogger("dserver_signed_url_plugin.audit").isEnabledFor(logging.INFO)
