"""`flask signed_url doctor` on an Azure account: what is well, what is wrong, what is left."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.doctor import Doctor
from dserver_signed_url_plugin.doctor.azure.probe import AzureProbe
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_READING,
    NOT_FOR_UPLOADING,
    ORIGIN,
    UNUSABLE,
    WebPage,
    ask,
    examined,
    forget_this_machine,
    listening,
    settings_of,
)
from tests.support.proxy import Fault, StoreProxy

WORDS_OF_S3 = ("s3:", "S3", "bucket", "x-amz", "X-Amz", "AWS", "MinIO")
# Azurite looks whether a blob is there before the body has come.
OF_AZURITE = {"overtaken-put"}
WRONG_KEY = base64.b64encode(b"wrong").decode()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


def containers(blobs):
    return [container.name for container in blobs.list_containers()]


# An account as it should be ---------------------------------------------------------------


def test_a_healthy_account_is_fit_for_reading_and_uploading(account, azure_store):
    azure_store.allow_browsers(account.name)
    report = examined(account, "--origin", ORIGIN)
    assert (report.code, report.failed, report.warned) == (FIT, set(), OF_AZURITE)
    skipped = {name for name, found in report.findings.items() if found["status"] == "skipped"}
    assert skipped == {"lifecycle"}


def test_where_a_key_does_not_reach_it_is_said_where_to_look(account):
    advice = examined(account)["lifecycle"]["advice"]
    assert "az storage account management-policy show" in advice
    assert "Lifecycle management" in advice


def test_what_the_store_must_refuse_is_really_tried(account):
    report = examined(account)
    for name in ("other-bytes", "second-put", "no-blob-type", "expired", "tampered"):
        assert report[name]["answered"].startswith(("400", "403"))
        assert report[name]["answered"].endswith("refused")


def test_nothing_of_the_examination_stays_in_the_account(account, blobs):
    blobs.create_container("somebodys")
    blobs.create_blob_from_text("somebodys", "dtool", "{}")
    report = examined(account)
    assert report["removal"]["answered"] == "5 removed"
    assert containers(blobs) == ["somebodys"]
    assert [blob.name for blob in blobs.list_blobs("somebodys")] == ["dtool"]


def test_the_scratch_container_is_removed_although_the_store_went_away(account, blobs):
    with StoreProxy(account) as proxy:
        proxy.before = lambda request: Fault.DROPPED if request.writes("/staged") else None
        report = examined(account, settings=settings_of(account, public=proxy.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"overwriting"})
    assert containers(blobs) == []


def test_the_scratch_container_is_no_dataset_and_is_removed_although_somebody_interrupts(
    account, blobs
):
    seen = []

    class Interrupted(AzureProbe):
        def read_staged(self, key):
            seen.extend(blobs.list_containers(include_metadata=True))
            raise KeyboardInterrupt

    settings = Settings.load(settings_of(account), {})
    storages = SimpleNamespace(probe=lambda uri, probes: Interrupted(uri, settings))
    with pytest.raises(KeyboardInterrupt):
        Doctor(settings, storages).check(BaseURI.parse(account.base_uri))
    # dtool lists every container that has metadata, and no other.
    assert [container.metadata or {} for container in seen] == [{}]
    assert containers(blobs) == []


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_no_key_and_no_signature_is_printed(account, options):
    answer = ask(account.base_uri, settings_of(account), *options)
    assert "PUT" in answer.output
    for secret in (account.key, "sig="):
        assert secret not in answer.output


@pytest.mark.parametrize("trouble", ["none", "wrong key", "dead endpoint", "web page"])
def test_nothing_is_said_of_s3(account, trouble):
    with listening(WebPage) as page:
        places = {
            "none": account,
            "wrong key": replace(account, key=WRONG_KEY),
            "dead endpoint": replace(account, endpoint=f"http://127.0.0.1:{free_port()}/lab"),
            "web page": replace(account, endpoint=page),
        }
        place = places[trouble]
        answer = ask(place.base_uri, settings_of(place), "--origin", ORIGIN)
    assert answer.stdout.startswith(account.base_uri)
    assert [word for word in WORDS_OF_S3 if word in answer.output] == []


# Settings and addresses -------------------------------------------------------------------


def test_a_key_that_is_missing_is_named(account):
    variable = f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}"
    settings = settings_of(account)
    del settings[variable.upper()]
    answer = ask(account.base_uri, settings)
    assert (answer.exit_code, answer.stdout) == (UNUSABLE, "")
    assert variable in answer.stderr


def test_a_wrong_key_fails_where_the_server_asks(account):
    report = examined(replace(account, key=WRONG_KEY))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"containers"})
    assert report["containers"]["answered"] == "403 AuthorizationFailure"
    assert f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}" in report["containers"]["advice"]


def test_an_endpoint_where_nothing_listens(account):
    nowhere = replace(account, endpoint=f"http://127.0.0.1:{free_port()}/{account.name}")
    report = examined(nowhere)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"endpoint", "public-endpoint"})
    assert "nothing listens" in report["endpoint"]["answered"]
    assert f"DTOOL_AZURE_BLOB_ENDPOINT_{account.name}" in report["endpoint"]["advice"]


def test_a_public_endpoint_where_nothing_listens(account):
    nowhere = f"http://127.0.0.1:{free_port()}/{account.name}"
    report = examined(account, settings=settings_of(account, public=nowhere))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"public-endpoint"})
    assert f"DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_{account.name}" in report["public-endpoint"]["advice"]


def test_a_public_endpoint_of_another_account(account, azure_store, blobs, unused_accounts):
    another = azure_store.endpoint(next(unused_accounts))
    report = examined(account, settings=settings_of(account, public=another))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"signature"})
    assert "another account's" in report["signature"]["means"]
    assert "ACCOUNT_KEY" not in report["signature"]["advice"]
    assert containers(blobs) == []


def test_a_web_page_instead_of_a_store(account):
    with listening(WebPage) as page:
        report = examined(replace(account, endpoint=page))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"endpoint", "public-endpoint"})
    assert "web page" in report["endpoint"]["means"]


def test_a_proxy_that_rewrites_the_host_is_fine_because_a_sas_does_not_sign_it(account):
    def rewrite(request):
        request.headers["host"] = "127.0.0.1"

    with StoreProxy(account) as proxy:
        proxy.before = rewrite
        report = examined(account, settings=settings_of(account, public=proxy.endpoint))
    assert (report.code, report.failed) == (FIT, set())


@contextmanager
def refusing(account, code="AuthenticationFailed", ahead=timedelta()):
    """The account where a store answers everything like that, as only Azure itself would."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            now = datetime.now(timezone.utc) + ahead
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
            self.send_response_only(403)
            self.send_header("Date", format_datetime(now, usegmt=True))
            self.send_header("x-ms-error-code", code)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Refusing) as address:
        yield replace(account, endpoint=address)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AuthenticationFailed", "DTOOL_AZURE_ACCOUNT_KEY_lab"),
        ("AuthorizationFailure", "Networking"),
        ("KeyBasedAuthenticationNotPermitted", "Allow storage account key access"),
        ("AccountRequiresHttps", "https"),
        ("SomethingNew", "Look the error code up"),
    ],
)
def test_azures_own_words_are_explained(account, code, advice):
    with refusing(account, code) as place:
        report = examined(place)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"containers"})
    assert report["containers"]["answered"] == f"403 {code}"
    assert advice in report["containers"]["advice"]


def test_a_clock_that_is_20_minutes_off(account):
    with refusing(account, ahead=timedelta(minutes=20)) as place:
        report = examined(place)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"clock"})
    assert report["clock"]["answered"] == "the store's clock is 20 min ahead"


def test_a_server_that_may_not_create_containers(account, blobs):
    with StoreProxy(account) as proxy:
        proxy.before = lambda request: Fault.REFUSED if request.method == "PUT" else None
        place = replace(account, endpoint=proxy.endpoint)
        report = examined(place, settings=settings_of(place, public=account.endpoint))
    assert (report.code, report.failed) == (NOT_FOR_READING, {"scratch"})
    assert report["removal"]["answered"] == "0 removed"
