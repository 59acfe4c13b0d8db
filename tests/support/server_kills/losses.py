"""Looks for what was lost, or is there twice, after servers were killed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dservercore import sql_db
from dservercore.sql_models import Dataset

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.audit_records import rows
from tests.support.dserver import Dserver
from tests.support.s3_holdings import check_dataset
from tests.support.server_kills.killer import leases
from tests.support.server_kills.lab import Outcome

CLEANUP = ["cleanup", "--older-than", "0", "--force", "--delete-storage"]


def check(dserver: Dserver, s3: Any, outcome: Outcome) -> None:
    """Fail unless every deposit is registered once, and nothing else is left anywhere."""
    uuids = {deposit.uuid for deposit in outcome.deposits}
    assert registered(dserver) == dict.fromkeys(uuids, 1)
    assert leases(dserver) == {}
    check_audit(dserver, outcome)
    for deposit in outcome.deposits:
        check_dataset(dserver, s3, deposit)
    found = keys(dserver, s3)
    assert {key.removeprefix("dtool-")[:36] for key in found} == uuids
    assert [key for key in found if "/upload/" in key] == []
    # Between the store's answer and the row, nobody knows of parts; the clean-up looks for them.
    outcome.parts_left = begun_parts(dserver, s3)
    assert outcome.parts_left <= outcome.cut_off
    assert dserver.app.test_cli_runner().invoke(pending_upload, CLEANUP).exit_code == 0
    assert begun_parts(dserver, s3) == 0
    assert keys(dserver, s3) == found


def registered(dserver: Dserver) -> Counter[str]:
    """Return how often each UUID is registered."""
    with dserver.app.app_context():
        found = Counter(sql_db.session.scalars(sql_db.select(Dataset.uuid)))
        sql_db.session.remove()
    return found


def keys(dserver: Dserver, s3: Any) -> list[str]:
    """Return all keys of the bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=dserver.bucket.name)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def begun_parts(dserver: Dserver, s3: Any) -> int:
    """Return of how many items the store has parts that are not assembled."""
    return len(s3.list_multipart_uploads(Bucket=dserver.bucket.name).get("Uploads", []))


def check_audit(dserver: Dserver, outcome: Outcome) -> None:
    """Fail unless each request is one decision, and each registration one that was granted."""
    decisions = rows(dserver)
    answered = len(outcome.requests) - outcome.cut_off
    # Whoever was cut off may have been granted what they wanted before.
    decided = sum(each["requests"] for each in decisions)
    assert answered <= decided <= answered + outcome.cut_off
    completed = {
        each["uri"]
        for each in decisions
        if each["action"] == "upload-complete" and each["outcome"] == "granted"
    }
    assert completed == {f"{dserver.base_uri}/{deposit.uuid}" for deposit in outcome.deposits}
    assert {each["username"] for each in decisions} == {"alice"}
