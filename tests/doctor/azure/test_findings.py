"""The doctor finds out what an Azure account, or a proxy before it, does less than it should."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from azure.storage.common._http import HTTPRequest
from azure.storage.common.models import CorsRule

from dserver_signed_url_plugin.storage.azure.layout import BLOCK
from tests.support.cors import run_az
from tests.support.doctor_reports import (
    FIT,
    NOT_FOR_READING,
    NOT_FOR_UPLOADING,
    ORIGIN,
    examined,
    forget_this_machine,
    settings_of,
)
from tests.support.dserver import in_capitals
from tests.support.proxy import Fault, StoreProxy


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    forget_this_machine(monkeypatch, tmp_path)


# The account's settings -------------------------------------------------------------------


def test_public_containers_are_a_warning(account, blobs):
    for name in ("one", "two", "three", "four"):
        blobs.create_container(name, public_access="blob")
    blobs.create_container("private")
    report = examined(account)
    assert (report.code, report["containers"]["status"]) == (FIT, "warning")
    assert "4 public: four, one, three, …" in report["containers"]["answered"]
    assert "anonymous access" in report["containers"]["advice"]


def test_deleted_blobs_that_are_kept_are_a_warning(account, blobs):
    keep_deleted(blobs, days=7)
    report = examined(account)
    assert (report.code, report["soft-delete"]["status"]) == (FIT, "warning")
    assert "7 days" in report["soft-delete"]["answered"]


def keep_deleted(blobs, days):
    """Switch soft delete on; the SDK writes True where Azurite wants true."""
    request = HTTPRequest()
    request.method, request.path = "PUT", "/"
    request.host_locations = blobs._get_host_locations()
    request.query = {"restype": "service", "comp": "properties"}
    policy = f"<Enabled>true</Enabled><Days>{days}</Days>"
    request.body = (
        "<StorageServiceProperties>"
        f"<DeleteRetentionPolicy>{policy}</DeleteRetentionPolicy>"
        "</StorageServiceProperties>"
    ).encode()
    blobs._perform_request(request)


def test_an_account_without_cors_rules_is_not_for_web_pages(account, blobs):
    report = examined(account, "--origin", ORIGIN)
    assert (report.code, report.failed) == (NOT_FOR_READING, {"cors-get", "cors-put"})
    assert report["cors-put"]["answered"] == "403 CorsPreflightFailure, not allowed"
    assert "CORS rule" in report["cors-put"]["advice"]
    assert examined(account).code == FIT
    [command] = report.cures.values()
    run_az(blobs, command)
    after = examined(account, "--origin", ORIGIN)
    assert (after.code, after.cures) == (FIT, {})


def test_cors_rules_without_the_headers_of_an_item_are_not_for_uploading(account, blobs):
    rule = CorsRule([ORIGIN], ["GET", "PUT"], allowed_headers=["content-type"])
    blobs.set_blob_service_properties(cors=[rule])
    report = examined(account, "--origin", ORIGIN)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"cors-put"})


# A store that does less than it should ----------------------------------------------------


def through(account, before=None, after=None):
    """Examine the account behind a proxy that interferes with what people ask of the store."""
    with StoreProxy(account) as proxy:
        proxy.before, proxy.after = before or proxy.before, after or proxy.after
        return examined(account, settings=settings_of(account, public=proxy.endpoint))


def container_of(request):
    return urlsplit(request.target).path.split("/")[2]


def test_a_proxy_that_removes_the_md5_lets_other_bytes_pass(account):
    def strip(request):
        for name in ("content-md5", "x-ms-blob-content-md5"):
            request.headers.pop(name, None)

    report = through(account, strip)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"other-bytes"})
    assert report["other-bytes"]["answered"] == "201: accepted"
    assert report["parts"]["answered"] == "201: accepted"
    assert "parts" in report.warned


def test_parts_that_cannot_be_assembled_are_a_warning(account):
    with StoreProxy(account) as proxy:
        proxy.before = lambda asked: Fault.REFUSED if "x-ms-copy-source" in asked.headers else None
        settings = {**settings_of(account), **in_capitals(proxy.settings())}
        report = examined(account, settings=settings)
    assert (report.code, report.warned) == (FIT, {"overtaken-put", "parts"})


def test_a_url_that_writes_twice_spoils_uploading(account, blobs):
    wrote = []

    def delete_outdated_items(request):
        if request.writes("/pinned"):
            # A client that is bound to create would be refused all the same.
            if wrote and "if-none-match" not in request.headers:
                blobs.delete_blob(container_of(request), "pinned")
            wrote.append(request.number)

    report = through(account, delete_outdated_items)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"second-put", "listing"})
    assert "change a dataset" in report["second-put"]["means"]


def test_a_put_that_another_overtook_is_a_warning_where_it_replaces_what_that_wrote(account):
    report = examined(account)
    assert (report.code, report.warned) == (FIT, {"overtaken-put"})
    assert report["overtaken-put"]["answered"] == "201: accepted"
    assert "begun before completion" in report["overtaken-put"]["means"]


def test_a_put_that_another_overtook_is_no_trouble_where_the_store_waits_for_its_body(account):
    # As the proxy does, for any store.
    report = through(account)
    assert report.warned == set()
    assert report["overtaken-put"]["answered"].endswith(": refused")


def test_a_blob_type_that_is_made_up_is_a_warning(account):
    def make_up(request):
        if request.writes("/no-blob-type"):
            request.headers["x-ms-blob-type"] = "BlockBlob"

    report = through(account, make_up)
    assert (report.code, report.warned) == (FIT, {"no-blob-type"})


def test_a_document_that_does_not_arrive_spoils_uploading(account, blobs):
    def change(request):
        if request.writes("/staged"):
            blobs.put_block(container_of(request), "staged", b"changed", BLOCK)

    report = through(account, after=change)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"document"})


def test_a_url_that_cannot_write_leaves_reading_fit(account):
    def refuse(request):
        return Fault.REFUSED if request.method == "PUT" else None

    report = through(account, refuse)
    assert (report.code, report.failed) == (NOT_FOR_UPLOADING, {"pinned-put", "overwriting"})
    assert report["get"]["status"] == "ok"


def test_blobs_that_everybody_gets_without_a_url_are_a_warning(account, blobs):
    def open_up(request):
        if request.method == "GET" and request.target.endswith("/pinned"):
            blobs.set_container_acl(container_of(request), public_access="blob")

    report = through(account, open_up)
    assert (report.code, report.warned) == (FIT, {"unsigned"})
