"""What the URLs of an upload to Azure let pass, and what becomes of it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.storage.values import DOCUMENTS, Item, SignedRequest
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.stalled_put import stalled
from tests.support.stored_upload import REFUSED, Upload, put, uninterrupted

OTHER_TYPES = {
    "append": {"x-ms-blob-type": "AppendBlob"},
    "page": {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"},
}


@pytest.fixture
def soon(storage):
    return storage.reads.life(600)


@pytest.fixture
def upload(storage):
    """An opened upload of several items."""
    opened = Upload(storage)
    storage.uploads.create(opened.opening, uninterrupted)
    return opened


@pytest.fixture
def one(storage):
    """An opened upload of one item."""
    upload = Upload(storage, {"file.txt": b"bytes"})
    storage.uploads.create(upload.opening, uninterrupted)
    return upload


def only(values):
    (value,) = values
    return value


def item_request(upload, life):
    return only(upload.urls(life, pinned=True).items.values())


# Items ---------------------------------------------------------------------------------------


def test_an_item_can_be_written_once(one, soon):
    request = item_request(one, soon)
    assert put(request, b"bytes") == 201
    assert put(request, b"bytes") in REFUSED
    assert only(one.held().final.values()).size_in_bytes == 5


@pytest.mark.parametrize("name", ["Content-MD5", "x-ms-blob-content-md5"])
def test_either_md5_keeps_other_bytes_out(one, soon, name):
    request = item_request(one, soon)
    headers = {**BLOCK_BLOB, name: request.headers[name]}
    assert put(replace(request, headers=headers), b"other") == 400
    assert put(replace(request, headers=headers), b"bytes") == 201


def test_without_an_md5_the_store_takes_one_itself(one, soon):
    assert put(replace(item_request(one, soon), headers=BLOCK_BLOB), b"other") == 201
    found = only(one.held().final.values())
    assert (found.md5, found.defect) == (hashlib.md5(b"other").hexdigest(), None)
    assert not found.fits(only(one.items))


def test_an_item_without_an_announced_md5_is_created_all_the_same(one, storage, soon):
    item = Item(generate_identifier("unknown"), "unknown")
    urls = storage.uploads.write_urls(one.uuid, one.staging, [item], soon, pinned=True)
    request = urls.items[item.identifier]
    metadata = {"x-ms-meta-relpath": "unknown", "x-ms-meta-type": "item"}
    assert request.headers == {**BLOCK_BLOB, "If-None-Match": "*", **metadata}
    assert put(request, b"whatever") == 201


def test_a_put_that_stalled_replaces_nothing_that_was_put_meanwhile(one, soon):
    request = item_request(one, soon)
    with stalled(request, b"bytes") as go_on:
        one.deposit(soon)
        assert go_on() in REFUSED
    with stalled(replace(request, headers={**BLOCK_BLOB, "If-None-Match": "*"}), b"other") as go_on:
        assert go_on() in REFUSED
    assert one.downloaded(soon) == one.contents


@pytest.mark.parametrize("part", ["block&blockid=QUFB", "blocklist", "metadata", "tier"])
def test_an_items_url_is_for_a_whole_blob(one, soon, everything, part):
    request = item_request(one, soon)
    headers = {"x-ms-meta-relpath": "other", "x-ms-access-tier": "Cool"}
    of_a_part = SignedRequest(f"{request.url}&comp={part}", headers)
    for _ in ("before it is there", "after"):
        before = everything()
        assert put(of_a_part, b"") in REFUSED
        assert everything() == before
        put(request, b"bytes")


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_another_type_of_blob_is_no_item(one, storage, soon, kind):
    request = item_request(one, soon)
    assert put(replace(request, headers=OTHER_TYPES[kind]), b"") == 201
    check_that_it_makes_room(one, storage, soon, "not a block blob")


@pytest.mark.parametrize("sync", ["true", "false"])
def test_a_copy_by_the_store_is_no_item(one, upload, storage, soon, sync):
    upload.deposit(soon)
    source = storage.reads.item_url(upload.uuid, next(iter(upload.contents)), soon)
    headers = {"x-ms-copy-source": source, "x-ms-requires-sync": sync}
    assert put(replace(item_request(one, soon), headers=headers), b"") == 202
    check_that_it_makes_room(one, storage, soon, "copied by the store")


def test_an_archived_blob_is_no_item(one, storage, soon):
    request = item_request(one, soon)
    headers = {**request.headers, "x-ms-access-tier": "Archive"}
    assert put(replace(request, headers=headers), b"bytes") == 201
    check_that_it_makes_room(one, storage, soon, "archived")


def test_what_readers_would_decode_is_no_item(one, storage, soon):
    request = item_request(one, soon)
    headers = {**request.headers, "x-ms-blob-content-encoding": "gzip"}
    assert put(replace(request, headers=headers), b"bytes") == 201
    check_that_it_makes_room(one, storage, soon, "Content-Encoding")


def test_a_snapshot_does_not_keep_its_blob(one, storage, soon):
    request = item_request(one, soon)
    assert put(replace(request, headers=BLOCK_BLOB), b"other") == 201
    assert put(SignedRequest(f"{request.url}&comp=snapshot"), b"") == 201
    check_that_it_makes_room(one, storage, soon, None)


def check_that_it_makes_room(upload, storage, life, defect):
    """What is there is not as announced, and goes; then the item can be PUT."""
    found = only(upload.held().final.values())
    assert found.defect is None if defect is None else defect in found.defect
    assert not found.fits(only(upload.items))
    storage.create_only_items.delete_outdated_items(upload.uuid, upload.items)
    assert upload.held().final == {}
    assert upload.deposit(life).downloaded(life) == upload.contents


def test_room_is_made_for_nothing_that_fits_or_was_not_asked_for(upload, storage, soon):
    requested = upload.urls(soon, pinned=False).items
    for identifier in upload.contents:
        put(replace(requested[identifier], headers=BLOCK_BLOB), b"first")
    fits, wrong, _ = upload.items
    storage.create_only_items.delete_outdated_items(upload.uuid, [fits, wrong])
    assert upload.held().final.keys() == upload.contents.keys() - {wrong.identifier}


def test_what_was_replaced_since_it_was_listed_stays(one, storage, blobs, soon):
    one.put_all(soon, pinned=True)
    identifier = only(one.contents)
    listed = next(b for b in storage.uploads._azure.listing(one.uuid) if b.name == identifier)
    blobs.create_blob_from_text(one.uuid, identifier, "newer")
    storage.uploads._azure.delete(one.uuid, listed)
    assert blobs.get_blob_to_text(one.uuid, identifier).content == "newer"


def test_making_room_where_there_is_nothing_is_harmless(storage):
    upload = Upload(storage)
    storage.create_only_items.delete_outdated_items(upload.uuid, upload.items)


# Metadata ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [{}, {"x-ms-meta-relpath": "lie", "x-ms-meta-type": "item"}, {"x-ms-meta-more": "1"}],
    ids=["none", "wrong", "other"],
)
def test_an_item_with_other_metadata_gets_dtools(one, soon, everything, sent):
    request = item_request(one, soon)
    assert put(replace(request, headers={**BLOCK_BLOB, **sent}), b"bytes") == 201
    one.freeze()
    md5, metadata, _ = everything()[f"{one.uuid}/{only(one.contents)}"]
    assert metadata == {"relpath": "file.txt", "type": "item"}
    assert base64.b64decode(md5).hex() == only(one.items).hash


def test_a_freeze_that_is_ended_goes_on_with_the_items_that_are_left(upload, storage, soon):
    signed = upload.urls(soon, pinned=False).items
    for identifier, data in upload.contents.items():
        assert put(replace(signed[identifier], headers=BLOCK_BLOB), data) == 201

    def end():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.uploads.freeze(upload.uuid, upload.freezing(), uninterrupted, end)
    assert storage.uploads.dataset_type(upload.uuid) == "protodataset"
    upload.freeze()
    assert upload.downloaded(soon) == upload.contents


# Documents -----------------------------------------------------------------------------


def test_documents_are_put_beside_the_dataset_and_without_any_header(upload, soon):
    urls = upload.urls(soon, pinned=True).documents
    assert set(urls) == set(DOCUMENTS)
    for url in urls.values():
        assert f"/{upload.uuid}-upload/{upload.staging}/" in url
        assert requests.put(url, data=b"text", timeout=30).status_code == 201
        typed = {"Content-Type": "text/plain; charset=utf-8"}
        assert requests.put(url, data=b"text", headers=typed, timeout=30).status_code == 201


def test_the_latest_document_counts(upload, storage, soon):
    urls = upload.urls(soon, pinned=True)
    for text in (b"first", b"second", b"second", b""):
        assert upload.put_document(urls, "readme", text) == 201
        for _ in range(2):
            found = storage.uploads.staged_document(upload.uuid, upload.staging, "readme", 10)
            assert found == text


def test_a_document_that_came_in_another_way_is_none(upload, storage, soon):
    url = upload.urls(soon, pinned=True).documents["readme"]
    whole = url.partition("&comp=")[0]
    encoded = {**BLOCK_BLOB, "x-ms-blob-content-encoding": "gzip"}
    for headers, content in ((encoded, b"text"), (OTHER_TYPES["append"], b"")):
        assert put(SignedRequest(whole, headers), content) == 201
        found = storage.uploads.staged_document(upload.uuid, upload.staging, "readme", 10)
        assert found is None


def test_a_document_that_somebody_leased_is_none(upload, storage, soon):
    url = upload.urls(soon, pinned=True).documents["readme"]
    whole = url.partition("&comp=")[0]
    assert put(SignedRequest(whole, BLOCK_BLOB), b"text") == 201
    assert put(SignedRequest(url), b"text") == 201
    leased = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}
    assert put(SignedRequest(f"{whole}&comp=lease", leased), b"") == 201
    assert storage.uploads.staged_document(upload.uuid, upload.staging, "readme", 10) is None
    upload.discard()
    assert storage.discards.size(upload.uuid, upload.opening.claim).objects == 0


def test_a_documents_url_used_late_finds_nothing(upload, soon, everything):
    urls = upload.urls(soon, pinned=True)
    upload.deposit(soon)
    before = everything()
    for name in DOCUMENTS:
        assert upload.put_document(urls, name, b"late") == 404
        whole = SignedRequest(urls.documents[name].partition("&comp=")[0], BLOCK_BLOB)
        assert put(whole, b"late") == 404
    assert everything() == before


def test_a_documents_url_does_not_reach_the_dataset(upload, soon, everything):
    before = everything()
    url = upload.urls(soon, pinned=True).documents["readme"]
    moved = url.replace(f"{upload.uuid}-upload/{upload.staging}/", f"{upload.uuid}/")
    assert put(SignedRequest(moved), b"mine now") in REFUSED
    assert everything() == before
