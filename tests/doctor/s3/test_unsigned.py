"""The doctor tries headers that no URL signs, and says how to close what they open."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_UPLOADING,
    Guarded,
    examined,
    forget_this_machine,
    keys,
    settings_of,
)
from tests.support.dserver import in_capitals
from tests.support.stub_store import Faults, StubStore
from tests.support.write_keys import key_of_new_user, write_key_settings

COPIES = {"copy-source", "copy-elsewhere"}
# What the local store obeys, access rights aside: its buckets take none.
CHANGES = {"tagging", "redirect", "headers", "encryption"}
SETTINGS = "dserver's environment, then restart it"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture
def elsewhere(store, bucket, s3):
    """Another bucket of the same store, which the server's key can read; it is the first listed."""
    name = f"a-{bucket.name}"
    store.create_bucket(name)
    s3.put_object(Bucket=name, Key="salaries", Body=b"secret")
    yield name
    s3.delete_object(Bucket=name, Key="salaries")
    s3.delete_bucket(Bucket=name)


def with_writes(bucket, layout, **more):
    return {**settings_of(bucket), f"SIGNED_URL_WRITES_{bucket.name.upper()}": layout, **more}


def test_a_store_that_obeys_unsigned_headers_is_not_for_uploading(bucket, elsewhere):
    report = examined(bucket)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, COPIES | CHANGES)
    for name in COPIES | CHANGES:
        assert report[name]["answered"] == "obeyed: pinned, staged, parts" or name not in COPIES
        assert "frozen item" in report[name]["means"] or name in COPIES
    assert "x-amz-copy-source" in report["copy-source"]["means"]
    assert "content-encoding" in report["headers"]["means"]
    assert report["acl"]["answered"] == "refused"


def test_staging_alone_keeps_a_frozen_item_and_lets_a_url_copy(bucket, elsewhere):
    report = examined(bucket, settings=with_writes(bucket, "staged"))
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, COPIES)
    assert report["copy-source"]["answered"] == "obeyed: staged, parts"
    assert "pinned-put" not in report.findings


def test_a_write_key_alone_reads_nothing_and_lets_a_frozen_item_be_changed(bucket, elsewhere):
    pair = in_capitals(Guarded.of(bucket).more)
    report = examined(bucket, settings={**pair, **with_writes(bucket, "pinned")})
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, CHANGES)
    assert {report[name]["answered"] for name in CHANGES} == {"obeyed: pinned"}
    assert {report[name]["answered"] for name in COPIES} == {"refused"}
    assert report.cures == {SETTINGS: f"SIGNED_URL_WRITES_{bucket.name}=staged"}


def test_with_both_the_store_is_fit(bucket, elsewhere):
    report = examined(Guarded.of(bucket))
    assert (report.code, report.failed, report.cures) == (FIT, set(), {})
    assert report["writes"]["answered"] == "all staged; a key of their own"


def test_nothing_of_the_attacks_stays_in_any_bucket(bucket, s3, elsewhere):
    examined(bucket)
    assert keys(s3, bucket) == []
    assert keys(s3, replace(bucket, name=elsewhere)) == ["salaries"]


def test_what_was_not_tried_is_said(monkeypatch):
    with StubStore() as bucket:
        report = examined(bucket)
    assert (report.code, report.failed) == (FIT, set())
    assert report["copy-elsewhere"]["status"] == "skipped"
    assert "Not tried" in report["copy-elsewhere"]["means"]
    assert report["copy-source"]["answered"] == "refused"


def test_a_content_type_that_changes_is_enough_not_to_be_fit():
    with StubStore(Faults(keeps_content_type=True)) as bucket:
        report = examined(bucket)
        staged = examined(bucket, settings=with_writes(bucket, "staged"))
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"headers"})
    assert "(content-type)" in report["headers"]["means"]
    assert report.cures == {SETTINGS: "SIGNED_URL_WRITES_stub=staged"}
    assert (staged.code, staged.failed) == (FIT, set())


# Cures ------------------------------------------------------------------------------------


def test_the_cures_name_bucket_endpoint_and_settings(bucket):
    cures = examined(bucket).cures
    ceph, policy, minio, aws, settings = cures.values()
    assert "radosgw-admin subuser create" in ceph
    assert "--access=write" in ceph
    assert f"--endpoint-url {bucket.endpoint} s3api put-bucket-policy" in policy
    assert f"mc alias set dserver {bucket.endpoint}" in minio
    assert f"--user-name dserver-write-{bucket.name}" in aws
    assert f"arn:aws:s3:::{bucket.name}/*" in aws
    assert settings.splitlines() == [
        f"DTOOL_S3_WRITE_ACCESS_KEY_ID_{bucket.name}=…",
        f"DTOOL_S3_WRITE_SECRET_ACCESS_KEY_{bucket.name}=…",
        f"SIGNED_URL_WRITES_{bucket.name}=staged",
    ]
    for cure in cures.values():
        assert bucket.access_key not in cure
        assert bucket.secret_key not in cure


def test_the_policy_for_aws_does_what_it_is_for(bucket, elsewhere):
    aws = examined(bucket).cures["AWS"]
    policy = json.loads(re.search(r"--policy-document '(.*)'", aws)[1])
    user = re.search(r"create-user --user-name (\S+)", aws)[1]
    pair = write_key_settings(bucket, key_of_new_user(bucket, user, json.dumps(policy)))
    report = examined(bucket, settings=with_writes(bucket, "staged", **in_capitals(pair)))
    assert (report.code, report.failed) == (FIT, set())
