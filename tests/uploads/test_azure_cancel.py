"""Uploads to Azure that stopped half-way: looked at, resumed, cancelled, cleaned up."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import update

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.audit_records import audit, check_rows, said
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.azure_holdings import check_dataset, containers
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Person, encoded

FILES = {"one.txt": b"eins", "two.txt": b"zwei", "three.txt": b"drei!"}
CLIENT = DtoolDserver()


def look(person: Person, uri: str, **query: Any) -> Any:
    return person.get(f"/signed-urls/upload/{encoded(uri)}", query_string=query)


def cancel(person: Person, uri: str) -> Any:
    return person.delete(f"/signed-urls/upload/{encoded(uri)}")


@pytest.fixture
def deposit() -> Deposit:
    return Deposit(FILES, more={"tags": ["t"], "annotations": {"a": 1}})


@pytest.fixture
def grant(azure_dserver, deposit) -> Any:
    return CLIENT.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)


@pytest.fixture
def put_hours_ago(azure_dserver, grant, deposit):
    """All was PUT and nothing completed; the URLs end with ``alive`` hours from now."""

    def act(alive: float) -> None:
        CLIENT.put(grant, deposit)
        now = datetime.now(timezone.utc)
        row = update(PendingUpload).where(PendingUpload.uuid == deposit.uuid)
        with azure_dserver.app.app_context():
            active, ends = now - timedelta(hours=72), now + timedelta(hours=alive)
            sql_db.session.execute(row.values(last_active_at=active, urls_expire_at=ends))
            sql_db.session.commit()

    return act


@pytest.fixture
def clean_up(azure_dserver):
    """Run the command of the cron job with more options; return (exit code, stdout)."""

    def run(*more: str) -> tuple[int, str]:
        command = ["cleanup", "--older-than", "48", "--delete-storage", *more]
        result = azure_dserver.app.test_cli_runner().invoke(pending_upload, command)
        return result.exit_code, result.stdout

    return run


def sizes(blobs, uuid: str) -> list[int]:
    """What everything under a UUID takes, blob by blob."""
    return [
        blob.properties.content_length
        for name in containers(blobs, uuid)
        for blob in blobs.list_blobs(name)
    ]


def test_an_interrupted_upload_goes_on_where_it_stopped(azure_dserver, blobs, deposit, grant):
    two = grant["upload_urls"]["items"][generate_identifier("two.txt")]
    assert requests.put(two["url"], b"zwei", headers=two["headers"], timeout=30).ok

    before = containers(blobs, deposit.uuid)
    progress = look(azure_dserver.alice, grant["uri"]).json
    assert progress["items"] == {"expected": 3, "stored": 1, "missing": 2, "wrong": 0}
    assert (progress["state"], progress["stored_bytes"]) == ("open", 4)
    rest = look(azure_dserver.alice, grant["uri"], urls=True).json["upload"]
    assert containers(blobs, deposit.uuid) == before
    items = rest["upload_urls"]["items"]
    assert {item["relpath"] for item in items.values()} == {"one.txt", "three.txt"}
    CLIENT.put(rest, deposit)

    progress = look(azure_dserver.alice, grant["uri"]).json
    assert progress["items"] == {"expected": 3, "stored": 3, "missing": 0, "wrong": 0}
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)
    assert look(azure_dserver.alice, grant["uri"]).json["state"] == "registered"


def test_a_wrong_blob_is_named_and_makes_room_for_the_url_that_is_asked_for(
    azure_dserver, blobs, deposit, grant
):
    one = grant["upload_urls"]["items"][generate_identifier("one.txt")]
    assert requests.put(one["url"], headers={"x-ms-blob-type": "AppendBlob"}, timeout=30).ok
    progress = look(azure_dserver.alice, grant["uri"], urls=True).json
    assert progress["items"] == {"expected": 3, "stored": 0, "missing": 2, "wrong": 1}
    [wrong] = progress["mismatched"]
    assert (wrong["relpath"], "AppendBlob" in wrong["found"]["defect"]) == ("one.txt", True)
    CLIENT.put(progress["upload"], deposit)
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)


def test_what_a_clean_up_left_in_storage_makes_room_when_it_is_announced_again(
    azure_dserver, blobs, deposit, grant
):
    one = grant["upload_urls"]["items"][generate_identifier("one.txt")]
    assert requests.put(one["url"], b"else", headers=BLOCK_BLOB, timeout=30).ok
    command = ["cleanup", "--older-than", "0", "--force"]
    removed = azure_dserver.app.test_cli_runner().invoke(pending_upload, command)
    assert (removed.exit_code, "removed" in removed.stdout) == (0, True)
    done = CLIENT.upload(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert done.status_code == 200, done.json
    check_dataset(azure_dserver, blobs, deposit)


def test_resuming_changes_nothing_that_is_right(azure_dserver, blobs, deposit, grant):
    CLIENT.put(grant, deposit)
    before = containers(blobs, deposit.uuid)
    again = CLIENT.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert again["uri"] == grant["uri"]
    assert containers(blobs, deposit.uuid) == before
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)


def test_cancelling_deletes_both_containers_and_may_be_repeated(
    azure_dserver, blobs, deposit, grant
):
    CLIENT.put(grant, deposit)
    assert containers(blobs, deposit.uuid).keys() == {deposit.uuid, f"{deposit.uuid}-upload"}
    before = sizes(blobs, deposit.uuid)
    answer = cancel(azure_dserver.alice, grant["uri"])
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert (answer.json["objects"], answer.json["bytes"]) == (len(before), sum(before))
    assert containers(blobs, deposit.uuid) == {}
    again = cancel(azure_dserver.alice, grant["uri"])
    assert (again.status_code, again.json["objects"]) == (200, 0)
    for item in grant["upload_urls"]["items"].values():
        late = requests.put(item["url"], b"late", headers=BLOCK_BLOB)
        assert late.status_code == 404
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 400

    done = CLIENT.upload(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert done.status_code == 200
    check_dataset(azure_dserver, blobs, deposit)
    assert cancel(azure_dserver.alice, grant["uri"]).status_code == 409


def test_a_clean_up_deletes_what_the_dry_run_said(blobs, deposit, put_hours_ago, clean_up):
    put_hours_ago(alive=-1)
    before, there = sizes(blobs, deposit.uuid), containers(blobs, deposit.uuid)
    freed = {"objects": len(before), "bytes": sum(before)}
    code, output = clean_up("--dry-run", "--json")
    assert (code, json.loads(output)["freed"]) == (0, freed)
    assert containers(blobs, deposit.uuid) == there
    code, output = clean_up("--json")
    assert (code, json.loads(output)["freed"]) == (0, freed)
    assert containers(blobs, deposit.uuid) == {}
    assert clean_up()[0] == 0


def test_a_clean_up_keeps_what_can_still_be_written_to(blobs, deposit, put_hours_ago, clean_up):
    put_hours_ago(alive=1)
    before = containers(blobs, deposit.uuid)
    code, output = clean_up()
    assert code == 0
    assert f"{deposit.uuid} my-dataset: kept: URLs of upload" in output
    assert containers(blobs, deposit.uuid) == before
    assert clean_up("--force")[0] == 0
    assert containers(blobs, deposit.uuid) == {}


class Away:
    """A search plugin whose database is away."""

    def register_dataset(self, dataset_info: Any) -> None:
        raise ConnectionError


def test_a_clean_up_registers_what_is_frozen(
    azure_dserver, blobs, deposit, grant, put_hours_ago, clean_up
):
    put_hours_ago(alive=-1)
    at_once = ("--older-than", "0", "--force")
    search, azure_dserver.app.search = azure_dserver.app.search, Away()
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 502
    assert cancel(azure_dserver.alice, grant["uri"]).status_code == 409
    assert clean_up(*at_once)[0] == 1
    azure_dserver.app.search = search
    code, output = clean_up(*at_once)
    assert (code, "repaired" in output) == (0, True)
    check_dataset(azure_dserver, blobs, deposit)


def test_the_audit_trail_names_the_dataset_and_holds_no_signature(azure_dserver, deposit, caplog):
    grant = CLIENT.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    again = CLIENT.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    done = azure_dserver.alice.complete(grant["uri"])
    read = azure_dserver.bob.read(grant["uri"])
    item = azure_dserver.bob.read_item(grant["uri"], generate_identifier("one.txt"))
    lines = said(caplog)
    assert [(line["username"], line["action"], line["items"]) for line in lines] == [
        ("alice", "upload-begin", 3),
        ("alice", "upload-begin", 3),
        ("alice", "upload-complete", 3),
        ("bob", "read-dataset", 3),
        ("bob", "read-item", 1),
    ]
    assert {line["uri"] for line in lines} == {grant["uri"]}
    assert grant["uri"] == f"azure://{azure_dserver.place.name}/{deposit.uuid}"
    granted = [grant, again, done.json, read.json, item.json]
    assert [line["expires_at"] for line in lines] == [
        answer.get("expiry_timestamp") for answer in granted
    ]
    assert check_rows(azure_dserver, lines) == len(lines)
    seen = audit(azure_dserver.alice, grant["uri"])
    assert [each["action"] for each in seen.json["decisions"]][-1] == "upload-begin"
    for secret in ("sig=", azure_dserver.place.key, "se="):
        assert secret not in caplog.text + seen.text


def test_what_is_removed_is_in_the_audit_trail(
    azure_dserver, deposit, grant, put_hours_ago, clean_up
):
    put_hours_ago(alive=-1)
    assert clean_up()[0] == 0
    decisions = audit(azure_dserver.alice, grant["uri"]).json["decisions"]
    [removal] = [each for each in decisions if each["action"] == "cleanup"]
    assert (removal["uri"], removal["items"]) == (grant["uri"], len(FILES))
