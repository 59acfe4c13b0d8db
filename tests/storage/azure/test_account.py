"""Where Azure's key and endpoints come from, for which address URLs are signed, what is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import ConfigurationError, StorageUnavailable
from dserver_signed_url_plugin.storage.azure import azure_storage
from dserver_signed_url_plugin.storage.azure.account import ConfiguredAccount
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import Account, in_capitals
from tests.support.stored_upload import Upload, put, uninterrupted

pytestmark = pytest.mark.usefixtures("alone")

KEY = "c2VjcmV0LWtleQ=="
FAR = Account("lab", "", KEY)


def storage_of(account, config=None, environ=None):
    settings = Settings.load(config or {}, environ or {})
    return azure_storage(BaseURI("azure", account.name), settings)


def request_of(storage):
    """A signed PUT for a new upload's one item."""
    upload = Upload(storage, {"file": b"bytes"})
    return next(iter(upload.urls(storage.reads.life(60), pinned=False).items.values()))


def opens(storage):
    """Return whether the store takes what the storage signs, and takes its own requests."""
    upload = Upload(storage, {"file": b"bytes"})
    storage.uploads.create(upload.opening, uninterrupted)
    request = next(iter(upload.urls(storage.reads.life(60), pinned=False).items.values()))
    return put(request, b"bytes") == 201


def far(**settings):
    """The storage of an account somewhere else, which nobody asks."""
    named = {f"DTOOL_AZURE_{name}_lab": value for name, value in settings.items()}
    return storage_of(FAR, {"DTOOL_AZURE_ACCOUNT_KEY_lab": KEY, **named})


def bare(url):
    return urlsplit(url).netloc


# Where dtool's settings come from ------------------------------------------------------------


def test_settings_come_from_the_environment(account, environment):
    environment(account.settings())
    assert opens(storage_of(account))


@pytest.mark.parametrize("spelled", [dict, in_capitals], ids=["exact", "capitals"])
def test_settings_come_from_flasks_config(account, spelled):
    assert opens(storage_of(account, spelled(account.settings())))


def test_a_key_may_end_in_a_line_break(account):
    name = f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}"
    assert opens(storage_of(account, {**account.settings(), name: f"{account.key}\n"}))


def test_settings_come_from_dtools_own_file(account, monkeypatch, tmp_path):
    path = tmp_path / "dtool.json"
    path.write_text(json.dumps(account.settings()))
    monkeypatch.setattr("dtoolcore.utils.DEFAULT_CONFIG_PATH", str(path))
    assert opens(storage_of(account))


def test_what_dtools_own_file_says_since_is_looked_at_when_it_is_used(monkeypatch, tmp_path):
    path = tmp_path / "dtool.json"
    monkeypatch.setattr("dtoolcore.utils.DEFAULT_CONFIG_PATH", str(path))
    for name, value in (("ACCOUNT_KEY", "geheim!"), ("BLOB_ENDPOINT", "http://my..host")):
        good = {"DTOOL_AZURE_ACCOUNT_KEY_lab": KEY}
        path.write_text(json.dumps({**good, f"DTOOL_AZURE_{name}_lab": value}))
        with pytest.raises(StorageUnavailable, match=f"DTOOL_AZURE_{name}_lab must") as refusal:
            storage_of(FAR)
        assert value not in str(refusal.value)


def test_a_missing_key_is_named():
    with pytest.raises(StorageUnavailable, match="set DTOOL_AZURE_ACCOUNT_KEY_lab\\."):
        storage_of(FAR)


@pytest.mark.parametrize("key", ["geheim!", "geheimx", "gehéim="])
def test_a_key_that_is_not_base64_is_said_so_and_not_shown(key):
    with pytest.raises(ConfigurationError, match="DTOOL_AZURE_ACCOUNT_KEY_lab must") as refusal:
        far(ACCOUNT_KEY=key)
    assert "geh" not in str(refusal.value)


def test_a_key_is_not_shown_with_its_account():
    settings = Settings.load({"DTOOL_AZURE_ACCOUNT_KEY_lab": KEY}, {})
    configured = ConfiguredAccount.find("lab", settings)
    assert configured.key == b"secret-key"
    assert KEY not in repr(configured)
    assert "secret-key" not in repr(configured)


# For which address it is signed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({}, "https://lab.blob.core.windows.net/"),
        ({"BLOB_ENDPOINT": "core.chinacloudapi.cn"}, "https://lab.blob.core.chinacloudapi.cn/"),
        ({"BLOB_ENDPOINT": "https://10.0.0.4/"}, "https://10.0.0.4/"),
        ({"BLOB_ENDPOINT": "http://azurite:10000/lab"}, "http://azurite:10000/lab/"),
        ({"BLOB_ENDPOINT": " http://azurite_1:10000/lab/\n"}, "http://azurite_1:10000/lab/"),
        ({"BLOB_ENDPOINT": "HTTPS://Lab.Example.ORG.:0443"}, "https://lab.example.org/"),
        ({"PUBLIC_BLOB_ENDPOINT": "http://0x7f.1:080/lab"}, "http://127.0.0.1/lab/"),
        (
            {
                "BLOB_ENDPOINT": "http://azurite:10000/lab",
                "PUBLIC_BLOB_ENDPOINT": "https://data.example.org/blobs/lab",
            },
            "https://data.example.org/blobs/lab/",
        ),
    ],
)
def test_urls_begin_with_the_endpoint_for_people(settings, start):
    request = request_of(far(**settings))
    assert request.url.startswith(start)
    # The store takes what was signed for https over nothing else.
    assert ("&spr=https&" in request.url) is start.startswith("https")


@pytest.mark.parametrize(
    ("rewrite", "start"),
    [
        ("azurite:10000|data.example.org", "http://data.example.org/lab/"),
        ("Azurite:010000|Data.Example.org:80", "http://data.example.org/lab/"),
        ("azurite|https://data.example.org", "https://data.example.org/lab/"),
        ("http://azurite:10000|https://data.example.org/b/", "https://data.example.org/b/lab/"),
        ("minio:9000|data.example.org", "http://azurite:10000/lab/"),
    ],
)
def test_a_rewritten_host_keeps_the_accounts_path(rewrite, start):
    settings = {
        "DTOOL_AZURE_ACCOUNT_KEY_lab": KEY,
        "DTOOL_AZURE_BLOB_ENDPOINT_lab": "http://azurite:10000/lab",
        "SIGNED_URL_HOST_REWRITE": rewrite,
    }
    assert request_of(storage_of(FAR, settings)).url.startswith(start)


def test_urls_for_the_public_address_open_there(account):
    public = account.endpoint.replace("127.0.0.1", "localhost")
    settings = {**account.settings(), f"DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_{account.name}": public}
    storage = storage_of(account, in_capitals(settings))
    assert bare(request_of(storage).url) == bare(public)
    assert opens(storage)


# Installation --------------------------------------------------------------------------------

WITHOUT = """
import sys
for missing in ("azure", "azure.storage.blob", "dtool_azure"):
    sys.modules[missing] = None
from dserver_signed_url_plugin import SignedURLExtension
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.uris import BaseURI
settings = Settings.load({"DTOOL_AZURE_ACCOUNT_KEY_lab": "c2VjcmV0LWtleQ=="}, {})
uploads = Storages(settings).of(BaseURI.parse("azure://lab")).uploads
uploads.write_urls("u" * 36, "s" * 32, [], uploads.life(60), pinned=False)
"""


def test_neither_a_server_nor_an_account_key_needs_a_package_of_azures():
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, capture_output=True)
