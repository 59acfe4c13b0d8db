"""`flask signed_url doctor`: what it says of a healthy bucket, and what it leaves behind."""

from __future__ import annotations

import json
import signal
import threading
from types import SimpleNamespace

import pytest
from flask import Flask

from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.doctor import Doctor
from dserver_signed_url_plugin.doctor.s3.probe import S3Probe
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.bucket_lifecycle import ABORTING, put
from tests.support.doctor_reports import (
    FIT,
    NOT_EXAMINED,
    ORIGIN,
    UNUSABLE,
    Guarded,
    ask,
    examined,
    forget_this_machine,
    keep_versions,
    keys,
    settings_of,
)
from tests.support.own_broker import own_store
from tests.support.proxy import Fault, StoreProxy
from tests.support.stub_store import StubStore


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture
def bucket(bucket):
    """The local store obeys unsigned headers: here it is set up as such a store has to be."""
    return Guarded.of(bucket)


# A bucket as it should be -----------------------------------------------------------------


def test_a_healthy_bucket_is_fit_for_reading_and_uploading(bucket, s3):
    put(s3, bucket, ABORTING)
    report = examined(bucket, "--origin", ORIGIN)
    assert (report.code, report.failed, report.warned) == (FIT, set(), set())
    assert report.cures == {}


def test_a_store_that_minds_every_signature_gets_no_warning_at_all():
    with StubStore() as bucket:
        report = examined(bucket)
    assert (report.code, report.failed, report.warned) == (FIT, set(), set())


@pytest.mark.parametrize("versioning", ["", "Enabled"])
def test_nothing_of_the_examination_stays_in_the_bucket(bucket, s3, versioning):
    if versioning:
        keep_versions(s3, bucket, versioning)
    report = examined(bucket)
    assert report["removal"]["status"] == "ok"
    assert report["removal"]["answered"] != "0 removed"
    assert keys(s3, bucket) == []


def test_what_is_in_the_bucket_stays_there(bucket, s3):
    s3.put_object(Bucket=bucket.name, Key="dtool-of-somebody", Body=b"prefix")
    examined(bucket)
    assert keys(s3, bucket) == ["dtool-of-somebody"]


def test_the_scratch_place_is_emptied_although_the_store_went_away(bucket, s3):
    with StoreProxy(bucket) as proxy:
        proxy.before = lambda request: Fault.DROPPED if request.writes("/staged") else None
        report = examined(bucket, settings=settings_of(bucket, public=proxy.endpoint))
    assert report.failed == {"overwriting"}
    assert keys(s3, bucket) == []


def test_the_scratch_place_is_emptied_although_somebody_interrupts(bucket, s3):
    class Interrupted(S3Probe):
        def copy(self, source, md5, target):
            assert keys(s3, bucket)
            raise KeyboardInterrupt

    settings = Settings.load(settings_of(bucket), {})
    storages = SimpleNamespace(probe=lambda uri, probes: Interrupted(uri, settings))
    with pytest.raises(KeyboardInterrupt):
        Doctor(settings, storages).check(BaseURI.parse(bucket.base_uri))
    assert keys(s3, bucket) == []


@pytest.mark.parametrize(
    ("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_scratch_place_is_emptied_although_a_signal_ends_the_command(bucket, s3, ending, code):
    def end(request):
        if not keys(s3, bucket):
            return None
        signal.pthread_kill(threading.main_thread().ident, ending)
        return Fault.DROPPED

    with StoreProxy(bucket) as proxy:
        proxy.before = end
        answer = ask(bucket.base_uri, settings_of(bucket, public=proxy.endpoint))
    assert (answer.exit_code, answer.stdout, answer.stderr) == (code, "", "Interrupted.\n")
    assert keys(s3, bucket) == []


def test_the_scratch_place_is_emptied_although_that_is_interrupted(bucket, s3):
    class Interrupted(S3Probe):
        removals = 0

        def remove(self):
            self.removals += 1
            assert keys(s3, bucket)
            if self.removals == 1:
                raise KeyboardInterrupt
            return super().remove()

    settings = Settings.load(settings_of(bucket), {})
    storages = SimpleNamespace(probe=lambda uri, probes: Interrupted(uri, settings))
    with pytest.raises(KeyboardInterrupt):
        Doctor(settings, storages).check(BaseURI.parse(bucket.base_uri))
    assert keys(s3, bucket) == []


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_no_key_and_no_signature_is_printed(bucket, options):
    answer = ask(bucket.base_uri, settings_of(bucket), *options)
    assert "PUT" in answer.output
    for secret in (bucket.access_key, bucket.secret_key, "X-Amz-Signature="):
        assert secret not in answer.output


def test_the_report_is_a_table_for_people(bucket):
    answer = ask(bucket.base_uri, settings_of(bucket))
    lines = answer.stdout.splitlines()
    assert any(line.startswith("ok ") and line.endswith("AccessDenied: refused") for line in lines)
    assert any(line.startswith("skipped ") and "GET from the origin" in line for line in lines)
    assert lines[-2:] == ["Fit for reading: yes.", "Fit for uploading: yes."]
    assert all(len(line) < 120 for line in lines)


# What cannot be examined ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["bucket"], "BASE_URI is not a URI such as"),
        (["s3://lab/uuid"], "BASE_URI has a path"),
        (["s3://lab", "--origin", "data.example.org/page"], "--origin"),
        (["ftp://lab"], "no storage broker"),
    ],
)
def test_wrong_arguments_are_a_usage_error(bucket, arguments, word):
    answer = ask(arguments[0], settings_of(bucket), *arguments[1:])
    assert answer.exit_code == UNUSABLE
    assert answer.stdout == ""
    assert word in answer.stderr


def test_incomplete_settings_are_named(bucket):
    settings = settings_of(bucket)
    missing = f"DTOOL_S3_SECRET_ACCESS_KEY_{bucket.name}"
    del settings[missing.upper()]
    answer = ask(bucket.base_uri, settings)
    assert answer.exit_code == UNUSABLE
    assert missing in answer.stderr


def test_the_help_says_on_lines_of_their_own_which_exit_code_means_what():
    answer = Flask(__name__).test_cli_runner().invoke(signed_url, ["doctor", "--help"])
    lines = [line.strip() for line in answer.stdout.splitlines()]
    assert "3  fit for reading, not for uploading" in lines
    assert "4  not fit for reading, and so not for uploading" in lines
    assert f"flask signed_url doctor s3://my-bucket --origin {ORIGIN}" in lines


def test_a_storage_broker_of_ones_own_is_not_examined_and_that_is_said(monkeypatch, tmp_path):
    metadata = tmp_path / "site" / "own_broker-1.dist-info"
    metadata.mkdir(parents=True)
    table = "[dtool.storage_brokers]\nOwnBroker = tests.support.own_broker:OwnBroker\n"
    (metadata / "entry_points.txt").write_text(table)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-broker\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with own_store() as base_uri:
        answer, data = ask(base_uri, {}), ask(base_uri, {}, "--json")
    assert answer.exit_code == data.exit_code == NOT_EXAMINED
    assert "not checked" in answer.stdout
    assert json.loads(data.stdout)["reading"] is None
