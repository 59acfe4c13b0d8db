"""Uploads to Azure that stopped half-way, where Azure differs from S3.

An item's URL never replaces a blob, so what is wrong has to be removed first, and two containers
take the place of prefixes. What both stores promise is in test_status, test_cancel, test_cleanup.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.audit_records import audit, check_rows, said
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.azure_holdings import check_dataset, containers
from tests.support.clients import Deposit, DtoolDserver
from tests.uploads.test_status import FILES, cancel, look

CLIENT = DtoolDserver()


@pytest.fixture
def deposit() -> Deposit:
    return Deposit(FILES, more={"tags": ["t"], "annotations": {"a": 1}})


@pytest.fixture
def grant(azure_dserver, deposit) -> Any:
    return CLIENT.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)


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


def test_no_url_of_a_cancelled_upload_is_good_for_anything(azure_dserver, blobs, deposit, grant):
    CLIENT.put(grant, deposit)
    assert containers(blobs, deposit.uuid).keys() == {deposit.uuid, f"{deposit.uuid}-upload"}
    assert cancel(azure_dserver.alice, grant["uri"]).status_code == 200
    for item in grant["upload_urls"]["items"].values():
        late = requests.put(item["url"], b"late", headers=BLOCK_BLOB, timeout=30)
        assert late.status_code == 404


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
