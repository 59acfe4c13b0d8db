"""Where Azure's key and endpoints come from, for which address URLs are signed, and trouble."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.azure import AzureStorage
from dserver_signed_url_plugin.uris import BaseURI
from tests.answering import Answer, Answering
from tests.dserver import Account, in_capitals
from tests.stored import Upload, get, put, uninterrupted

pytestmark = pytest.mark.usefixtures("alone")

KEY = "c2VjcmV0LWtleQ=="
FAR = Account("lab", "", KEY)


def storage_of(account, config=None, environ=None):
    settings = Settings.load(config or {}, environ or {})
    return AzureStorage(BaseURI("azure", account.name), settings)


def request_of(storage):
    """A signed PUT for a new upload's one item."""
    upload = Upload(storage, {"file": b"bytes"})
    return next(iter(upload.urls(storage.life(60), pinned=False).items.values()))


def opens(storage):
    """Tell whether the store takes what the storage signs, and takes its own requests."""
    upload = Upload(storage, {"file": b"bytes"})
    storage.open(upload.opening, uninterrupted)
    request = next(iter(upload.urls(storage.life(60), pinned=False).items.values()))
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


def test_a_missing_key_is_named():
    with pytest.raises(StorageUnavailable, match="must set DTOOL_AZURE_ACCOUNT_KEY_lab\\.$"):
        storage_of(FAR)


@pytest.mark.parametrize("key", ["geheim!", "geheimx", "gehéim="])
def test_a_key_that_is_not_base64_is_said_so_and_not_shown(key):
    with pytest.raises(StorageUnavailable, match="DTOOL_AZURE_ACCOUNT_KEY_lab is not") as refusal:
        far(ACCOUNT_KEY=key)
    assert "geh" not in str(refusal.value)


# For which address it is signed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({}, "https://lab.blob.core.windows.net/"),
        ({"BLOB_ENDPOINT": "core.chinacloudapi.cn"}, "https://lab.blob.core.chinacloudapi.cn/"),
        ({"BLOB_ENDPOINT": "https://10.0.0.4/"}, "https://10.0.0.4/"),
        ({"BLOB_ENDPOINT": "http://azurite:10000/lab"}, "http://azurite:10000/lab/"),
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


# Trouble -------------------------------------------------------------------------------------


def at(endpoint):
    """The storage of an account that is served elsewhere."""
    account = replace(FAR, endpoint=endpoint)
    return storage_of(account, account.settings())


@pytest.mark.parametrize("act", ["kind", "tidy"])
def test_a_store_that_is_away_is_said_so_within_seconds(act):
    away = at(f"http://127.0.0.1:{free_port()}")
    start = time.monotonic()
    with pytest.raises(StorageUnavailable, match="does not answer .*; call again later"):
        getattr(away, act)("6f9619ff-8b86-4011-b42d-00c04fc964ff")
    assert time.monotonic() - start < 10


def test_a_key_that_the_store_does_not_know_is_refused_and_nothing_signed_is_logged(
    account, caplog
):
    caplog.set_level(logging.DEBUG)
    storage = storage_of(account, replace(account, key=KEY).settings())
    with pytest.raises(StorageUnavailable, match="refused the server") as refusal:
        storage.open(Upload(storage).opening, uninterrupted)
    assert "Azure looking up" in caplog.text
    for secret in (KEY, account.key, "SharedKey", "x-ms-date", "sig="):
        assert secret not in str(refusal.value) + caplog.text


def test_urls_signed_with_a_wrong_key_are_refused(account):
    storage = storage_of(account, account.settings())
    upload = Upload(storage)
    storage.open(upload.opening, uninterrupted)
    upload.deposit(storage.life(60))
    liar = storage_of(account, replace(account, key=KEY).settings())
    life = liar.life(60)
    url = liar._azure.signer(life.ends).sign("r", upload.uuid, "README.yml")
    assert get(url).status_code == 403


def test_a_container_that_is_still_being_deleted_is_worth_waiting_for():
    # Real Azure takes at least half a minute; its emulator none.
    absent, being_deleted = (
        Answer(404, code="ContainerNotFound"),
        Answer(409, code="ContainerBeingDeleted"),
    )
    with Answering([absent, being_deleted]) as server:
        storage = at(server.endpoint)
        with pytest.raises(StorageUnavailable, match="call again in half a minute"):
            storage.open(Upload(storage).opening, uninterrupted)


PAGE = """<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults><Blobs><Blob><Name>{name}</Name><Properties>
<Last-Modified>Sat, 28 Feb 2026 23:59:59 GMT</Last-Modified><Etag>0x1</Etag>
<Content-Length>5</Content-Length><Content-MD5>SzpiGLs+OnMD6KFxpg/Pkg==</Content-MD5>
<BlobType>BlockBlob</BlobType>{more}</Properties></Blob></Blobs>
<NextMarker>{marker}</NextMarker></EnumerationResults>"""


def page_of(name, marker="", more=""):
    return Answer(content=PAGE.format(name=name * 40, marker=marker, more=more).encode())


def test_pages_of_a_listing_are_asked_for_one_by_one():
    with Answering([page_of("a", "b/1"), page_of("b", "c/2"), page_of("c")]) as server:
        held = Upload(at(server.endpoint)).held()
        assert set(held.final) == {"a" * 40, "b" * 40, "c" * 40}
        assert ["marker=" in asked for asked in server.asked] == [False, True, True]
        assert "marker=b%2F1" in server.asked[1]
    found = held.final["a" * 40]
    assert (found.size_in_bytes, found.md5) == (5, "4b3a6218bb3e3a7303e8a171a60fcf92")
    assert found.last_modified.isoformat() == "2026-02-28T23:59:59+00:00"


@pytest.mark.parametrize(
    ("more", "defect"),
    [
        ("<CustomerProvidedKeySha256>x</CustomerProvidedKeySha256>", "key that the server does"),
        ("<AccessTier>Archive</AccessTier>", "archived"),
        ("<CopyId>x</CopyId>", "copied"),
        ("<AccessTier>Cool</AccessTier><CopyId></CopyId>", None),
    ],
)
def test_a_blob_that_nobody_could_read_is_no_item(more, defect):
    with Answering([page_of("a", more=more)]) as server:
        found = Upload(at(server.endpoint)).held().final["a" * 40]
    assert found.defect is None if defect is None else defect in found.defect


@pytest.mark.parametrize(
    "answer", [Answer(content=b"<html>hello"), Answer(503), Answer(404)], ids=["page", "503", "404"]
)
def test_what_is_no_azure_is_not_taken_for_an_empty_one(answer):
    with Answering([answer]) as server, pytest.raises(StorageUnavailable):
        at(server.endpoint).size("6f9619ff-8b86-4011-b42d-00c04fc964ff")


def test_a_store_that_stumbles_is_asked_again():
    with Answering([Answer(503), page_of("a")]) as server:
        assert set(Upload(at(server.endpoint)).held().final) == {"a" * 40}


WITHOUT = """
import sys
sys.modules[{module!r}] = None
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import SigningUnsupported
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.uris import BaseURI
for _ in range(2):
    try:
        Storages(Settings.load({{}}, {{}})).of(BaseURI.parse("azure://lab"))
    except SigningUnsupported as error:
        print(error)
"""


@pytest.mark.parametrize("module", ["azure.storage.blob", "dtool_azure"])
def test_without_the_extra_it_is_said_how_to_get_it(module):
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module)], check=True, capture_output=True
    )
    lines = said.stdout.decode().splitlines()
    assert len(lines) == 2
    assert all("pip install 'dserver-signed-url-plugin[azure]'" in line for line in lines)


def test_an_s3_server_does_not_load_azure():
    program = (
        "import sys; from dserver_signed_url_plugin import SignedURLExtension;"
        "print([name for name in sys.modules if name.startswith(('azure', 'dtool_azure'))])"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert said.stdout.decode().strip() == "[]"
