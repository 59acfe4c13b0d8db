"""The Azure store of the tests is one that can refuse."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from azure.common import AzureHttpError

from dserver_signed_url_plugin.demo.azurite import VERSION, AzuriteMissing, LocalAzure, program
from tests.support.blob_client import blob_service
from tests.support.demo_command import listens
from tests.support.dserver import Account

ORIGIN = "https://data.example.org"
HEADERS = "content-md5,if-none-match,x-ms-blob-type"
MAKEFILE = Path(__file__).parents[2] / "Makefile"


def preflight(url):
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": HEADERS,
    }
    return requests.options(url, headers=asked, timeout=10)


def test_an_account_knows_its_own_key_only(account):
    own = blob_service(account)
    own.create_container("mine")
    assert [container.name for container in own.list_containers()] == ["mine"]
    stranger = blob_service(replace(account, key="c29tZWJvZHkgZWxzZQ=="))
    with pytest.raises(AzureHttpError) as refusal:
        list(stranger.list_containers())
    assert refusal.value.status_code == 403


def test_an_account_does_not_know_the_containers_of_another(account, azure_store, unused_accounts):
    blob_service(account).create_container("mine")
    name = next(unused_accounts)
    other = Account(name, azure_store.endpoint(name), azure_store.key)
    assert list(blob_service(other).list_containers()) == []


def test_browsers_may_use_an_account_after_it_was_opened_to_them(account, azure_store):
    url = f"{account.endpoint}/container/blob"
    assert preflight(url).status_code == 403
    azure_store.allow_browsers(account.name)
    allowed = preflight(url)
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Headers"] == HEADERS


def test_a_data_directory_keeps_blobs_and_the_log_names_no_url(azure_store, tmp_path):
    log, data = tmp_path / "log", tmp_path / "data"
    with LocalAzure(["lab"], log_path=log, data_dir=data) as first:
        client = blob_service(Account("lab", first.endpoint("lab"), first.key))
        client.create_container("kept")
        client.create_blob_from_bytes("kept", "ü", b"bytes", metadata={"a": "b"})
    with LocalAzure(["lab"], data_dir=data) as second:
        client = blob_service(Account("lab", second.endpoint("lab"), second.key))
        kept = client.get_blob_to_bytes("kept", "ü")
        assert (kept.content, kept.metadata) == (b"bytes", {"a": "b"})
    assert "kept" not in log.read_text()


def test_it_is_gone_at_the_end(azure_store):
    with LocalAzure(["lab"]) as running:
        assert listens(running.endpoint("lab"))
    assert not listens(running.endpoint("lab"))


def test_the_makefile_installs_the_azurite_that_the_package_names():
    assert f"\nAZURITE := {VERSION}\n" in MAKEFILE.read_text()


def test_where_azurite_is_missing_the_command_that_installs_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AzuriteMissing, match=f"Run: npm install .*{tmp_path} azurite@3"):
        program()
