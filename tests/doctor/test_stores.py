"""The doctor finds out what a store does less than it should, or more."""

from __future__ import annotations

import json

import pytest

from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_READING,
    NOT_FOR_UPLOADING,
    Guarded,
    examined,
    forget_this_machine,
)
from tests.support.stub_store import Faults, StubStore


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture
def bucket(bucket):
    """The local store obeys unsigned headers: here it is set up as such a store has to be."""
    return Guarded.of(bucket)


@pytest.mark.parametrize(
    ("faults", "failed", "code"),
    [
        (Faults(believes_any_pin=True), {"other-bytes"}, NOT_FOR_UPLOADING),
        (Faults(salts_etags=True), {"listing"}, NOT_FOR_UPLOADING),
        (Faults(forgets_expiry=True), {"expired"}, NOT_FOR_READING),
        (Faults(believes_any_signature=True), {"other-pin", "tampered"}, NOT_FOR_READING),
    ],
    ids=["ignores Content-MD5", "ETag is no MD5", "ignores expiry", "ignores signatures"],
)
def test_a_store_that_does_not_do_its_part(faults, failed, code):
    with StubStore(faults) as bucket:
        report = examined(bucket)
    assert (report.code, report.failed) == (code, failed)
    assert all(report[name]["advice"] for name in failed)


@pytest.mark.parametrize(
    ("faults", "warned"),
    [
        (Faults(ignores_ranges=True), {"range"}),
        (Faults(copies_on_no_condition=True), {"wrong-copy"}),
        (Faults(takes_no_parts=True), {"parts"}),
        (Faults(forgets_parts=True), {"parts"}),
    ],
    ids=["ignores Range", "ignores conditions", "takes no parts", "forgets parts"],
)
def test_what_can_be_lived_with_is_a_warning(faults, warned):
    with StubStore(faults) as bucket:
        report = examined(bucket)
    assert (report.code, report.failed, report.warned) == (FIT, set(), warned)


def test_a_bucket_in_another_region():
    with StubStore(Faults(region="eu-central-1")) as bucket:
        report = examined(bucket)
    assert (report.code, report.warned) == (FIT, {"region"})
    assert "eu-central-1" in report["region"]["advice"]


def test_a_public_bucket_is_a_warning(bucket, s3):
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket.name}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.delete_public_access_block(Bucket=bucket.name)
    s3.put_bucket_policy(Bucket=bucket.name, Policy=policy)
    report = examined(bucket)
    assert (report.code, report.warned) == (FIT, {"unsigned", "incomplete"})
