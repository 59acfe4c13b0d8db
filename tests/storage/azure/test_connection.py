"""Azure is away, silent, unwell or no Azure at all: a sentence within seconds, and no secret."""

from __future__ import annotations

import logging
import time
from base64 import b64decode
from dataclasses import replace

import pytest

from dserver_signed_url_plugin.demo.store import free_port
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.azure.sas import READ, BlobSigner
from tests.support.answering_server import Answer, Answering
from tests.support.azure_accounts import storage_of
from tests.support.dserver import Account
from tests.support.stored_upload import Upload, get, uninterrupted

pytestmark = pytest.mark.usefixtures("alone")

KEY = "c2VjcmV0LWtleQ=="


def at(endpoint):
    """The storage of an account that is served elsewhere."""
    return storage_of(Account("lab", endpoint, KEY))


@pytest.mark.parametrize("act", ["dataset_type", "delete_temporary"])
def test_a_store_that_is_away_is_said_so_within_seconds(act):
    away = at(f"http://127.0.0.1:{free_port()}")
    start = time.monotonic()
    with pytest.raises(StorageUnavailable, match="does not answer .*; call again in 5 s"):
        getattr(away.uploads, act)("6f9619ff-8b86-4011-b42d-00c04fc964ff")
    assert time.monotonic() - start < 10


def test_a_key_that_the_store_does_not_know_is_refused_and_nothing_signed_is_logged(
    account, caplog
):
    caplog.set_level(logging.DEBUG)
    storage = storage_of(replace(account, key=KEY))
    with pytest.raises(StorageUnavailable, match="refused the server") as refusal:
        storage.uploads.create(Upload(storage).opening, uninterrupted)
    assert "Azure looking up" in caplog.text
    for secret in (KEY, account.key, "SharedKey", "x-ms-date", "sig="):
        assert secret not in str(refusal.value) + caplog.text


def test_urls_signed_with_a_wrong_key_are_refused(account):
    storage = storage_of(account)
    upload = Upload(storage)
    storage.uploads.create(upload.opening, uninterrupted)
    upload.deposit(storage.reads.life(60))
    ends = storage.reads.life(60).ends
    for key, status in ((account.key, 200), (KEY, 403)):
        signer = BlobSigner(account.endpoint, account.name, b64decode(key), ends)
        assert get(signer.sign(READ, upload.uuid, "README.yml")).status_code == status


def test_a_container_that_is_still_being_deleted_is_worth_waiting_for():
    # Real Azure takes at least half a minute; its emulator none.
    absent, being_deleted = (
        Answer(404, code="ContainerNotFound"),
        Answer(409, code="ContainerBeingDeleted"),
    )
    with Answering([absent, being_deleted]) as server:
        storage = at(server.endpoint)
        with pytest.raises(StorageUnavailable, match="call again in 30 s"):
            storage.uploads.create(Upload(storage).opening, uninterrupted)


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
        ("<Content-Encoding>gzip</Content-Encoding>", "which readers would undo"),
        ("<Content-Encoding /><Content-Language>de</Content-Language>", None),
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
    with Answering([answer]) as server:
        storage = at(server.endpoint)
        with pytest.raises(StorageUnavailable):
            Upload(storage).held()
        with pytest.raises(StorageUnavailable):
            storage.uploads.readme("6f9619ff-8b86-4011-b42d-00c04fc964ff", 1)


def test_a_store_that_stumbles_is_asked_once_more():
    with Answering([Answer(503), page_of("a")]) as server:
        assert set(Upload(at(server.endpoint)).held().final) == {"a" * 40}
    with Answering([Answer(503)]) as server:
        with pytest.raises(StorageUnavailable):
            Upload(at(server.endpoint)).held()
        assert len(server.asked) == 2


def test_a_listing_whose_markers_come_again_is_ended():
    pages = [
        Answer(
            content=f"<EnumerationResults><Blobs/><NextMarker>{marker}</NextMarker>"
            "</EnumerationResults>".encode(),
            headers={"x-ms-request-id": "1"},
        )
        for marker in "AB" * 5
    ]
    with Answering(pages) as store:
        with pytest.raises(StorageUnavailable, match="a listing without an end"):
            Upload(at(store.endpoint)).held()
        assert len(store.asked) == 3
