"""The doctor on Ceph RGW: what it finds, and that the cures which it prints cure that."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_UPLOADING,
    examined,
    forget_this_machine,
    keys,
    settings_of,
)
from tests.support.dserver import in_capitals

OPENED = {"copy-source", "copy-elsewhere", "acl", "tagging", "redirect", "headers"}


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture(autouse=True)
def elsewhere(store, s3):
    """Another bucket that the server's key can read."""
    store.create_bucket("elsewhere")
    s3.put_object(Bucket="elsewhere", Key="salaries", Body=b"secret")


def staged(bucket, access_key, secret_key):
    """Settings as the doctor asks for, with the keys that its commands have made."""
    return settings_of(bucket) | in_capitals(
        {
            f"DTOOL_S3_WRITE_ACCESS_KEY_ID_{bucket.name}": access_key,
            f"DTOOL_S3_WRITE_SECRET_ACCESS_KEY_{bucket.name}": secret_key,
            f"SIGNED_URL_WRITES_{bucket.name}": "staged",
        }
    )


def cure(report, about):
    return next(text for title, text in report.cures.items() if title.startswith(about))


def test_without_a_write_key_ceph_is_not_for_uploading(bucket, s3):
    report = examined(bucket)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, OPENED)
    assert report["copy-source"]["answered"] == "obeyed: pinned, staged, parts"
    assert {report[name]["answered"] for name in ("acl", "tagging", "redirect", "headers")} == {
        "obeyed: pinned"
    }
    assert keys(s3, bucket) == []


def test_the_commands_for_its_administrator_make_it_fit(bucket, store):
    commands = cure(examined(bucket), "Ceph, as its administrator")
    made = json.loads("{" + store.shell(commands).rpartition("\n{")[2])
    pair = [key for key in made["keys"] if key["user"].endswith(":write")][-1]
    report = examined(bucket, settings=staged(bucket, pair["access_key"], pair["secret_key"]))
    assert (report.code, report.failed, report.cures) == (FIT, set(), {})
    assert report["copy-source"]["answered"] == "refused"


def test_the_policy_for_another_user_makes_it_fit(bucket, store, s3):
    command = shlex.split(cure(examined(bucket), "Ceph without its administrator"))
    policy = command[command.index("--policy") + 1]
    user = f"dserver-write-{bucket.name}"
    pair = ("--access-key", f"AK{bucket.name}", "--secret-key", "secret-of-the-writer")
    store.admin("user", "create", "--uid", user, "--display-name", user, *pair)
    s3.put_bucket_policy(Bucket=bucket.name, Policy=policy)
    report = examined(bucket, settings=staged(bucket, pair[1], pair[3]))
    assert (report.code, report.failed, report.cures) == (FIT, set(), {})
    assert report["copy-source"]["answered"] == "refused"


def test_a_write_key_that_can_read_does_not_make_it_fit(bucket):
    settings = staged(bucket, bucket.access_key, bucket.secret_key)
    report = examined(bucket, settings=settings)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"copy-source", "copy-elsewhere"})
