"""Folders that consoles and gateways make beside a dataset: objects that are none of dtool's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DtoolDserver, WithHeaders
from tests.support.dserver import Account, Dserver

FILES = {"data/one.txt": b"first"}
DESCRIBED = {
    "tags": ["red"],
    "annotations": {"place": 1},
    "overlays": {"rating": {generate_identifier("data/one.txt"): 5}},
}
FOLDERS = ["", "tags/", "overlays/", "annotations/", "data/", "data/sub/", "upload/", "tags/sub/"]
# Neither folders nor dtool's: other people's.
STRAYS = ["tags/of/others", "tags/größe", "tags/a b", "overlays/notes.txt", "overlays/a/b.json"]
STRAYS += ["annotations/.json", "annotations/größe.json"]


@pytest.fixture(params=["s3", "azure"])
def dserver(request, make_dserver_on: Callable[..., Dserver]) -> Dserver:
    kind = "bucket" if request.param == "s3" else "account"
    return make_dserver_on(request.getfixturevalue(kind))


@pytest.fixture
def put(request, dserver):
    """Put an object beside a dataset, past dserver."""
    if isinstance(dserver.place, Account):
        blobs = request.getfixturevalue("blobs")

        def put_blob(uuid, name, text="", **metadata):
            if name:
                blobs.create_blob_from_text(uuid, name, text, metadata=metadata or None)

        return put_blob
    s3 = request.getfixturevalue("s3")

    def put_object(uuid, name, text=""):
        s3.put_object(Bucket=dserver.place.name, Key=f"{uuid}/{name}", Body=text.encode())

    return put_object


def read(dserver, deposit):
    answer = dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}")
    assert answer.status_code == 200, answer.json
    return answer.json


@pytest.mark.parametrize("client", [DtoolDserver(), WithHeaders()], ids=["pinned", "staged"])
def test_an_upload_beside_which_there_are_folders_is_completed(dserver, put, client):
    deposit = Deposit(FILES, more=DESCRIBED)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    for folder in FOLDERS:
        put(deposit.uuid, folder)
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert len(read(dserver, deposit)["item_urls"]) == 1


def test_what_is_not_dtools_is_no_tag_annotation_or_overlay(dserver, put):
    deposit = Deposit(FILES, more=DESCRIBED)
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    for name in FOLDERS:
        put(deposit.uuid, name)
    for name in STRAYS:
        put(deposit.uuid, name, "text")
    urls = read(dserver, deposit)
    assert urls["tags"] == ["red"]
    assert list(urls["annotation_urls"]) == ["place"]
    assert list(urls["overlay_urls"]) == ["rating"]


@pytest.mark.parametrize("mark", ["hdi_isfolder", "Hdi_isfolder"])
def test_folders_of_a_hierarchical_namespace_are_none_of_it(make_azure_dserver, blobs, mark):
    dserver = make_azure_dserver()
    deposit = Deposit(FILES, more=DESCRIBED)
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    folders = ["tags", "overlays", "tags/sub", "overlays/sub.json", generate_identifier("sub")]
    for name in folders:
        blobs.create_blob_from_text(deposit.uuid, name, "", metadata={mark: "true"})
    DtoolDserver().put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    urls = read(dserver, deposit)
    assert (urls["tags"], list(urls["overlay_urls"])) == (["red"], ["rating"])


def test_a_stray_item_still_counts_however_it_is_called(dserver, put):
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    is_azure = isinstance(dserver.place, Account)
    put(deposit.uuid, generate_identifier("stray") if is_azure else "data/stray/", "text")
    DtoolDserver().put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 400


def test_cancelling_removes_the_folders_too(make_dserver, s3, bucket):
    dserver = make_dserver()
    deposit = Deposit(FILES)
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, deposit)
    for folder in FOLDERS:
        s3.put_object(Bucket=bucket.name, Key=f"{deposit.uuid}/{folder}")
    path = f"/signed-urls/upload/{grant['uri'].replace(':', '%3A').replace('/', '%2F')}"
    assert dserver.alice.delete(path).status_code == 200
    assert s3.list_objects_v2(Bucket=bucket.name).get("Contents", []) == []


def test_nothing_but_folders_is_nothing(make_dserver, s3, bucket):
    dserver = make_dserver()
    deposit = Deposit(FILES)
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    for found in s3.list_objects_v2(Bucket=bucket.name)["Contents"]:
        s3.delete_object(Bucket=bucket.name, Key=found["Key"])
    for folder in FOLDERS:
        s3.put_object(Bucket=bucket.name, Key=f"{deposit.uuid}/{folder}")
    storage = dserver.storage
    assert storage.uploads.contents(deposit.uuid, "staging").objects == 0
    storage.inventory.delete_registration(deposit.uuid)
    assert storage.inventory.under_other_prefixes({deposit.uuid}) == set()
