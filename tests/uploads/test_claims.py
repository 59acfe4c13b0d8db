"""Whose upload it is, and of what: rows that went, rows left behind, and other announcements."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import delete, event, select

from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DtoolDserver, RelpathsOnly, each_client
from tests.support.dserver import Dserver, Person, encoded
from tests.support.refusals import assert_refused, nothing_is_written
from tests.support.s3_holdings import check_dataset, holdings

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
ONE = generate_identifier("one.txt")
OVERLAY = {"rating": {generate_identifier(path): 1 for path in FILES}}


def uploaders(dserver: Dserver, deposit: Deposit) -> list[str]:
    with dserver.app.app_context():
        row = select(PendingUpload.uploader).where(PendingUpload.uuid == deposit.uuid)
        return list(sql_db.session.scalars(row))


def lose_row(dserver: Dserver, deposit: Deposit) -> None:
    """Take an upload out of the database, and leave in storage what is there."""
    with dserver.app.app_context():
        sql_db.session.execute(delete(PendingUpload).where(PendingUpload.uuid == deposit.uuid))
        sql_db.session.commit()


# A row that went -----------------------------------------------------------------------------

OTHERS = {
    "name": {"name": "other"},
    "items": {"files": {"one.txt": b"eins"}},
    "contents": {"files": {**FILES, "one.txt": b"EINS"}},
    "tags": {"more": {"tags": ["other"]}},
    "annotations": {"more": {"annotations": {"a": 2}}},
    "overlays": {"more": {"overlays": OVERLAY}},
    "creator": {"more": {"creator_username": "somebody"}},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_lost_upload_is_not_begun_again_with_other_contents(dserver, s3, other):
    client = DtoolDserver()
    deposit = Deposit(FILES, more={"tags": ["tag"], "annotations": {"a": 1}})
    client.put(client.begin(dserver.alice, dserver.base_uri, deposit), deposit)
    lose_row(dserver, deposit)
    changed = replace(deposit, **other)
    with nothing_is_written(dserver):
        before = holdings(s3, dserver.bucket, deposit.uuid)
        answer = dserver.alice.begin(dserver.base_uri, client.plan(changed))
        assert_refused(answer, 409, "use a new UUID")
        assert holdings(s3, dserver.bucket, deposit.uuid) == before
    # Nor does having tried stand in the way of the same contents.
    assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    check_dataset(dserver, s3, deposit)


@each_client
def test_a_lost_upload_is_begun_again_with_the_same_contents(dserver, s3, client):
    deposit = Deposit(FILES)
    client.put(client.begin(dserver.alice, dserver.base_uri, deposit), deposit)
    lose_row(dserver, deposit)
    assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    check_dataset(dserver, s3, deposit)


def test_a_lost_upload_is_not_begun_again_by_somebody_else(dserver):
    client, deposit = DtoolDserver(), Deposit(FILES)
    client.begin(dserver.alice, dserver.base_uri, deposit)
    lose_row(dserver, deposit)
    with nothing_is_written(dserver):
        answer = dserver.carol.begin(dserver.base_uri, client.plan(deposit))
        assert_refused(answer, 409, "use a new UUID")


# A row that was left behind ------------------------------------------------------------------


class Killed(BaseException):
    """What becomes of a worker that gets no time to tidy up."""


def begin_and_be_killed(dserver: Dserver, deposit: Deposit, grant: dict[str, Any]) -> None:
    """Let carol find the UUID free when alice has just completed it, and die with a claim on it."""

    def complete() -> None:
        assert Person(dserver.app, dserver.tokens["alice"]).complete(grant["uri"]).json

    def overtake(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread() is not carols:
            return
        if statement.startswith("SELECT pending_upload") and not alices:
            alices.append(threading.Thread(target=complete))
            alices[0].start()
            alices[0].join(timeout=30)
        if statement.startswith("UPDATE pending_upload"):
            raise Killed

    carols, alices = threading.current_thread(), []
    with dserver.app.app_context():
        engine = sql_db.engine
    event.listen(engine, "before_cursor_execute", overtake)
    try:
        with pytest.raises(Killed):
            dserver.carol.begin(dserver.base_uri, DtoolDserver().plan(deposit))
    finally:
        event.remove(engine, "before_cursor_execute", overtake)


def test_a_claim_left_on_a_finished_dataset_takes_it_from_nobody(dserver, s3):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    begin_and_be_killed(dserver, deposit, grant)
    assert uploaders(dserver, deposit) == ["carol"]

    for person in (dserver.alice, dserver.alice, dserver.admin, dserver.carol, dserver.alice):
        done = person.complete(grant["uri"])
        assert (done.status_code, done.json["status"]) == (200, "registered"), done.json
    # Who may not deposit here is told so as before.
    assert dserver.bob.complete(grant["uri"]).status_code == 403
    for person in (dserver.alice, dserver.carol):
        answer = person.begin(dserver.base_uri, client.plan(deposit))
        assert_refused(answer, 409, "registered already")
    assert uploaders(dserver, deposit) == []
    check_dataset(dserver, s3, deposit)


def test_a_pending_upload_is_completed_by_nobody_else(dserver):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    assert_refused(dserver.carol.complete(grant["uri"]), 403, "Only the user who began")
    assert uploaders(dserver, deposit) == ["alice"]


# Another announcement ------------------------------------------------------------------------


@each_client
@pytest.mark.parametrize("other", ["somebody-else", None], ids=str)
def test_an_upload_is_not_resumed_for_another_creator(dserver, s3, client, other):
    deposit = Deposit(FILES, more={"creator_username": "somebody"})
    client.begin(dserver.alice, dserver.base_uri, deposit)
    changed = client.plan(deposit)
    del changed["creator_username"]
    if other is not None:
        changed["creator_username"] = other
    with nothing_is_written(dserver):
        answer = dserver.alice.begin(dserver.base_uri, changed)
        assert_refused(answer, 409, "another name, creator")
    done = client.upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200
    stored = holdings(s3, dserver.bucket, deposit.uuid)
    assert dict(stored[f"{deposit.uuid}/dtool"].metadata)["creator_username"] == "somebody"


class Away:
    """A search plugin whose database does not answer."""

    def register_dataset(self, info: Any) -> None:
        raise ConnectionError("away")


@pytest.mark.parametrize("way", ["begun again", "signed for"])
def test_what_the_store_lost_after_the_freeze_may_be_other_bytes(dserver, s3, way):
    # Nobody said what the items are: what was frozen is not what was announced.
    client, before = RelpathsOnly(), Deposit({"one.txt": b"eins", "two.txt": b"zwei"})
    after = replace(before, files={"one.txt": b"ganz anders", "two.txt": b"zwei"})
    grant = client.begin(dserver.alice, dserver.base_uri, before)
    client.put(grant, before)
    search, dserver.app.search = dserver.app.search, Away()
    assert dserver.alice.complete(grant["uri"]).status_code == 502
    dserver.app.search = search

    # In place, and where it was staged.
    for found in s3.list_objects_v2(Bucket=dserver.bucket.name)["Contents"]:
        if found["Key"].endswith(ONE):
            s3.delete_object(Bucket=dserver.bucket.name, Key=found["Key"])
    refused = dserver.alice.complete(grant["uri"])
    assert (refused.status_code, "has lost" in refused.json["message"]) == (400, True)
    if way == "begun again":
        again = client.begin(dserver.alice, dserver.base_uri, after)
    else:
        path = f"/signed-urls/upload/{encoded(grant['uri'])}?urls=true"
        again = dserver.alice.get(path).json["upload"]
    client.put(again, after)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, after)
