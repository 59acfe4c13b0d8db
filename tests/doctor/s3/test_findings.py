"""The doctor tells one trouble from another: a single finding fails if a single thing is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import boto3
import pytest

from dserver_signed_url_plugin.demo.store import free_port
from tests.support.cors import run_aws
from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_READING,
    NOT_FOR_UPLOADING,
    ORIGIN,
    Guarded,
    WebPage,
    ask,
    examined,
    forget_this_machine,
    keep_versions,
    listening,
    settings_of,
)
from tests.support.dserver import in_capitals
from tests.support.proxy import StoreProxy
from tests.support.stub_store import Faults, StubStore
from tests.support.write_keys import key_of_new_user


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


@pytest.fixture
def bucket(bucket):
    """The local store obeys unsigned headers: here it is set up as such a store has to be."""
    return Guarded.of(bucket)


# Addresses --------------------------------------------------------------------------------


def test_an_endpoint_where_nothing_listens(bucket):
    nowhere = replace(bucket, endpoint=f"http://127.0.0.1:{free_port()}")
    report = examined(nowhere)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"endpoint", "public-endpoint"})
    assert "nothing listens" in report["endpoint"]["answered"]
    assert report["get"]["status"] == "skipped"


def test_a_public_endpoint_where_nothing_listens(bucket):
    settings = settings_of(bucket, public=f"http://127.0.0.1:{free_port()}")
    report = examined(bucket, settings=settings)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"public-endpoint"})
    assert "DTOOL_S3_PUBLIC_ENDPOINT" in report["public-endpoint"]["advice"]


def test_a_web_page_instead_of_a_store(bucket):
    with listening(WebPage) as page:
        report = examined(replace(bucket, endpoint=page))
        public = examined(bucket, settings=settings_of(bucket, public=page))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"endpoint", "public-endpoint"})
    assert (public.code, public.failed) == (NOT_FOR_READING, {"public-endpoint"})
    assert "web page" in public.findings["public-endpoint"]["means"]


@pytest.mark.parametrize("told", ["the store's", "another"])
def test_a_proxy_that_rewrites_the_host(bucket, told):
    host = bucket.endpoint.removeprefix("http://") if told == "the store's" else "s3.internal"

    def rewrite(request):
        request.headers["host"] = host

    with StoreProxy(bucket) as proxy:
        proxy.before = rewrite
        report = examined(bucket, settings=settings_of(bucket, public=proxy.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"signature"})
    found = report["signature"]
    assert found["answered"].startswith("403 SignatureDoesNotMatch")
    assert ("accepted if signed" in found["answered"]) is (told == "the store's")
    assert "Host" in found["means"]
    assert "proxy_set_header Host" in found["advice"]


def test_a_proxy_that_passes_the_host_on_is_fine(bucket):
    with StoreProxy(bucket) as proxy:
        report = examined(bucket, settings=settings_of(bucket, public=proxy.endpoint))
    assert (report.code, report.failed) == (FIT, set())


def test_a_bucket_that_is_missing(bucket):
    elsewhere = replace(bucket, name="never-created")
    report = examined(elsewhere)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"bucket"})
    assert report["bucket"]["answered"] == "404 NoSuchBucket"


def test_a_wrong_secret_key_fails_where_it_signs(bucket):
    report = examined(replace(bucket, secret_key="wrong"))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"signature"})
    assert "key is wrong" in report["signature"]["means"]


def test_a_wrong_secret_key_behind_a_proxy_is_not_the_proxys_fault(bucket):
    with StoreProxy(bucket) as proxy:
        wrong = replace(bucket, secret_key="wrong")
        report = examined(wrong, settings=settings_of(wrong, public=proxy.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"signature"})
    assert "not even at the server's own endpoint" in report["signature"]["means"]
    assert f"DTOOL_S3_SECRET_ACCESS_KEY_{bucket.name}" in report["signature"]["advice"]


def test_a_public_endpoint_that_leads_to_another_store(bucket):
    with StubStore() as other:
        report = examined(bucket, settings=settings_of(bucket, public=other.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"signature"})


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "NoSuchBucket"])
def test_a_public_endpoint_whose_store_knows_neither_key_nor_bucket(bucket, code):
    with StubStore(Faults(refuses_urls_with=code)) as other:
        report = examined(bucket, settings=settings_of(bucket, public=other.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"signature"})
    assert "another store" in report["signature"]["means"]
    assert f"DTOOL_S3_PUBLIC_ENDPOINT_{bucket.name}" in report["signature"]["advice"]


# What earlier findings have proved ---------------------------------------------------------


def test_a_store_that_takes_no_signed_headers_has_no_wrong_key():
    with StubStore(Faults(refuses_signed_headers=True)) as bucket:
        report = examined(bucket)
        staging = {"SIGNED_URL_WRITES_STUB": "staged"}
        staged = examined(bucket, settings=settings_of(bucket) | staging)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"pinned-put"})
    found = report["pinned-put"]
    assert found["answered"] == "403 SignatureDoesNotMatch"
    assert "the key is right" in found["means"]
    assert "SIGNED_URL_WRITES_stub=staged" in found["advice"]
    assert "SECRET" not in found["advice"]
    assert (staged.code, staged.failed, staged.warned) == (FIT, set(), set())


@pytest.mark.parametrize(
    ("wrong", "code", "named"),
    [
        ("WRITE_ACCESS_KEY_ID", "InvalidAccessKeyId", "DTOOL_S3_WRITE_ACCESS_KEY_ID_"),
        ("WRITE_SECRET_ACCESS_KEY", "SignatureDoesNotMatch", "DTOOL_S3_WRITE_SECRET_ACCESS_KEY_"),
    ],
)
def test_a_wrong_write_key_is_not_taken_for_the_servers(bucket, wrong, code, named):
    settings = settings_of(bucket) | {f"DTOOL_S3_{wrong}_{bucket.name.upper()}": "wrong"}
    report = examined(bucket, settings=settings)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"overwriting"})
    assert report["overwriting"]["answered"] == f"403 {code}"
    assert f"{named}{bucket.name}" in report["overwriting"]["advice"]


def test_a_write_key_that_may_not_write_is_named(bucket):
    reader = with_key_for(bucket, "GetObject")
    pair = {"ACCESS_KEY_ID": reader.access_key, "SECRET_ACCESS_KEY": reader.secret_key}
    more = {f"DTOOL_S3_WRITE_{part}_{bucket.name.upper()}": key for part, key in pair.items()}
    report = examined(bucket, settings=settings_of(bucket) | more)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"overwriting"})
    assert "key that signs write URLs" in report["overwriting"]["means"]


def test_a_proxy_that_changes_puts_alone_is_not_taken_for_a_wrong_key():
    def rewrite(request):
        if request.method == "PUT":
            request.headers["host"] = "s3.internal"

    with StubStore() as bucket, StoreProxy(bucket) as proxy:
        proxy.before = rewrite
        report = examined(bucket, settings=settings_of(bucket, public=proxy.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"overwriting"})
    assert "the key is right" in report["overwriting"]["means"]


# Time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [20, -20])
def test_a_clock_that_is_20_minutes_off(minutes):
    with StubStore(Faults(clock=timedelta(minutes=minutes))) as bucket:
        report = examined(bucket)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"clock"})
    way = "ahead" if minutes > 0 else "behind"
    assert report["clock"]["answered"] == f"the store's clock is 20 min {way}"
    assert "NTP" in report["clock"]["advice"]


def test_a_clock_that_is_off_although_the_store_does_not_date_its_answers():
    with StubStore(Faults(clock=timedelta(minutes=20), tells_time=False)) as bucket:
        report = examined(bucket)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"bucket"})
    assert report["bucket"]["answered"] == "403 RequestTimeTooSkewed"
    assert "NTP" in report["bucket"]["advice"]


@pytest.mark.parametrize("seconds", [-600, -100, 100, 600])
def test_a_clock_that_is_a_little_off_is_a_warning(seconds):
    with StubStore(Faults(clock=timedelta(seconds=seconds))) as bucket:
        report = examined(bucket)
    assert (report.code, report.warned) == (FIT, {"clock"})


def test_credentials_that_end_soon(bucket, monkeypatch):
    sts = boto3.client(
        "sts",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    )
    made = sts.get_session_token(DurationSeconds=900)["Credentials"]
    sts.close()
    chain = {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["SessionToken"],
        "AWS_CREDENTIAL_EXPIRATION": (
            datetime.now(timezone.utc) + timedelta(minutes=25)
        ).isoformat(),
        "AWS_ENDPOINT_URL_S3": bucket.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in chain.items():
        monkeypatch.setenv(name, value)
    answer = ask(bucket.base_uri, in_capitals(bucket.more), "--json")
    found = {found["name"]: found for found in json.loads(answer.stdout)["findings"]}["credentials"]
    assert (answer.exit_code, found["status"]) == (FIT, "warning")
    assert found["answered"].startswith("they expire in 2")
    assert made["SessionToken"] not in answer.output


# Permissions and the bucket's settings ----------------------------------------------------


def with_key_for(bucket, *actions):
    """The same bucket, with a key that may do these."""
    may = {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    identifier, secret = key_of_new_user(bucket, bucket.name, policy)
    return replace(bucket, access_key=identifier, secret_key=secret, more={})


@pytest.mark.parametrize("holds", ["nothing", "a dataset"])
def test_a_key_without_write_permission_is_fit_for_reading(bucket, s3, holds):
    reader = with_key_for(bucket, "GetObject", "ListBucket")
    if holds == "a dataset":
        s3.put_object(Bucket=reader.name, Key="dtool-registered", Body=b"")
        s3.put_object(Bucket=reader.name, Key="uuid/README.yml", Body=b"---")
    report = examined(reader)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"overwriting"})
    assert report["overwriting"]["answered"] == "403 AccessDenied"
    assert "s3:PutObject" in report["overwriting"]["advice"]
    expected = "ok" if holds == "a dataset" else "skipped"
    assert report["range"]["status"] == expected
    assert report["lifecycle"]["status"] == "skipped"
    assert "s3:GetLifecycleConfiguration" in report["lifecycle"]["advice"]


@pytest.mark.parametrize(
    ("may", "failed", "code"),
    [
        (["GetObject", "PutObject", "ListBucket"], "removal", NOT_FOR_UPLOADING),
        (["PutObject", "DeleteObject", "ListBucket"], "get", NOT_FOR_READING),
        (["GetObject", "PutObject", "DeleteObject"], "bucket", NOT_FOR_READING),
    ],
)
def test_a_permission_that_is_missing_is_named(bucket, may, failed, code):
    missing = {"GetObject", "PutObject", "DeleteObject", "ListBucket"} - set(may)
    report = examined(with_key_for(bucket, *may))
    assert report.code == code
    assert failed in report.failed
    assert f"s3:{missing.pop()}" in report[failed]["advice"]


def test_a_bucket_without_cors_rules_is_not_for_web_pages(bucket, s3):
    s3.delete_bucket_cors(Bucket=bucket.name)
    report = examined(bucket, "--origin", ORIGIN)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"cors-get", "cors-put"})
    assert "CORS rule" in report["cors-put"]["advice"]
    assert examined(bucket).code == FIT
    run_aws(s3, report.cures["CORS (this replaces the bucket's rules)"])
    after = examined(bucket, "--origin", ORIGIN)
    assert (after.code, after.cures) == (FIT, {})


@pytest.mark.parametrize(
    ("host", "scheme", "status"),
    [("0.0.0.0", "https", "failed"), ("0.0.0.0", "http", "ok"), ("localhost", "https", "ok")],
)
def test_a_store_without_tls_is_not_for_web_pages_with_it(bucket, host, scheme, status):
    public = f"http://{host}:{urlsplit(bucket.endpoint).port}"
    origin = f"{scheme}://data.example.org"
    report = examined(bucket, "--origin", origin, settings=settings_of(bucket, public=public))
    assert report["mixed-content"]["status"] == status
    assert report.code == (NOT_FOR_READING if status == "failed" else FIT)


def test_cors_rules_without_the_headers_of_a_pinned_url_are_not_for_uploading(bucket, s3):
    rule = {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": [ORIGIN]}
    s3.put_bucket_cors(Bucket=bucket.name, CORSConfiguration={"CORSRules": [rule]})
    report = examined(bucket, "--origin", ORIGIN)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"cors-put"})


def rule(s3, bucket, prefix="", **what):
    rules = [{"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": prefix}, **what}]
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": rules}
    )


@pytest.mark.parametrize("versioning", ["Enabled", "Suspended"])
def test_old_versions_without_an_end_are_a_warning(bucket, s3, versioning):
    keep_versions(s3, bucket, versioning)
    report = examined(bucket)
    assert (report.code, report.warned) == (FIT, {"versioning", "incomplete"})
    assert "NoncurrentVersionExpiration" in report["versioning"]["advice"]


def test_old_versions_that_end_are_fine(bucket, s3):
    keep_versions(s3, bucket)
    rule(s3, bucket, NoncurrentVersionExpiration={"NoncurrentDays": 3})
    assert examined(bucket).warned == {"incomplete"}


@pytest.mark.parametrize("prefix", ["", "group/"])
def test_a_lifecycle_rule_that_would_delete_datasets(bucket, s3, prefix):
    rule(s3, bucket, prefix, Expiration={"Days": 30})
    settings = settings_of(bucket) | {f"DTOOL_S3_DATASET_PREFIX_{bucket.name.upper()}": "group/"}
    report = examined(bucket, settings=settings)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"lifecycle"})
    assert "'tidy'" in report["lifecycle"]["answered"]


def test_a_lifecycle_rule_that_deletes_no_dataset_is_fine(bucket, s3):
    rule(s3, bucket, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
    assert examined(bucket)["lifecycle"]["status"] == "ok"


def test_a_lifecycle_rule_that_archives_datasets_is_a_warning(bucket, s3):
    rule(s3, bucket, Transitions=[{"Days": 30, "StorageClass": "GLACIER"}])
    assert examined(bucket)["lifecycle"]["status"] == "warning"


# Parts ------------------------------------------------------------------------------------


def test_without_a_rule_for_incomplete_uploads_the_command_is_shown(bucket, s3):
    found = examined(bucket)["incomplete"]
    assert (found["status"], found["answered"]) == ("warning", "0 older than 7 days, and no rule")
    command = f"flask lifecycle set {bucket.base_uri} --abort-incomplete-days 7"
    assert found["advice"].startswith(command)
    rule(s3, bucket, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
    assert examined(bucket)["incomplete"]["status"] == "ok"


def test_uploads_that_were_given_up_are_counted():
    with StubStore(given_up=2) as bucket:
        found = examined(bucket)["incomplete"]
    assert found["answered"] == "2 older than 7 days, and a rule"


def test_parts_that_outlive_their_upload_are_not_for_uploading():
    with StubStore(Faults(keeps_parts=True)) as bucket:
        report = examined(bucket)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"parts-assembled"})
    assert report.warned == {"parts-aborted"}


@pytest.mark.parametrize(
    ("lacks", "check"),
    [
        ("ListMultipartUploadParts", "parts"),
        ("AbortMultipartUpload", "parts-aborted"),
        ("ListBucketMultipartUploads", "incomplete"),
    ],
)
def test_a_permission_for_parts_that_is_missing_is_named(bucket, lacks, check):
    object_actions = {"GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload"}
    bucket_actions = {"ListBucket", "GetLifecycleConfiguration", "ListBucketMultipartUploads"}
    actions = object_actions | bucket_actions | {"ListMultipartUploadParts"}
    found = examined(with_key_for(bucket, *(actions - {lacks})))[check]
    assert (found["status"], found["answered"]) == ("warning", "403 AccessDenied")
    assert f"s3:{lacks}" in found["advice"]
