"""Deposits in Azure as the public clients make them, and what their readers get."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.azure_holdings import check_dataset
from tests.support.clients import CLIENTS, FILES, README, Deposit, DtoolDserver, WithHeaders
from tests.support.dserver import Dserver
from tests.support.stored_upload import AWKWARD

TEXT = {"Content-Type": "text/plain; charset=utf-8"}
DESCRIBED = {
    "tags": ["project-x", "2024"],
    "annotations": {"author": "Ada Löwe", "cells": {"grown": [1, 2.5, None, True]}},
    "overlays": {"colour": {generate_identifier(path): f"grün {path}" for path in FILES}},
}
without_headers = pytest.mark.parametrize(
    "client", CLIENTS[1:], ids=lambda client: type(client).__name__
)


def fetch(url: str) -> requests.Response:
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def put(url: str, content: bytes, headers: dict[str, str] | None = None) -> int:
    return requests.put(url, data=content, headers=headers, timeout=30).status_code


def read(dserver: Dserver, uri: str) -> dict[str, Any]:
    answer = dserver.bob.read(uri)
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def test_everybody_who_may_reads_all_of_what_was_deposited(azure_dserver, blobs):
    deposit = Deposit(more=DESCRIBED)
    done = DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert (done.status_code, done.json["status"]) == (200, "registered")
    check_dataset(azure_dserver, blobs, deposit)

    grant = read(azure_dserver, done.json["uri"])
    assert fetch(grant["readme_url"]).content.decode() == README
    admin_metadata = fetch(grant["admin_metadata_url"]).json()
    assert (admin_metadata["type"], admin_metadata["uuid"]) == ("dataset", deposit.uuid)
    entries = fetch(grant["manifest_url"]).json()["items"].values()
    said = [{**entry} for entry in deposit.described()]
    assert sorted(entries, key=str) == sorted(said, key=str)
    assert sorted(grant["tags"]) == sorted(DESCRIBED["tags"])
    for kind in ("annotations", "overlays"):
        urls = grant[f"{kind.removesuffix('s')}_urls"]
        assert {name: fetch(url).json() for name, url in urls.items()} == DESCRIBED[kind]


def test_an_item_is_read_by_itself(azure_dserver):
    deposit = Deposit()
    uri = DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, deposit).json["uri"]
    for path, content in FILES.items():
        answer = azure_dserver.bob.read_item(uri, generate_identifier(path))
        assert fetch(answer.json["url"]).content == content
    unknown = azure_dserver.bob.read_item(uri, generate_identifier("no such file"))
    assert unknown.status_code == 404


@pytest.mark.parametrize("disposition", ["attachment", "inline"])
def test_an_item_is_served_under_its_own_name(azure_dserver, disposition):
    types = {'plot/Übersicht "final" 2;.png': "image/png", "データ/測定.json": "application/json"}
    deposit = Deposit(dict.fromkeys(types, b"{}"))
    uri = DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, deposit).json["uri"]
    urls = azure_dserver.bob.read(uri, disposition=disposition).json["item_urls"]
    for path, kind in types.items():
        identifier = generate_identifier(path)
        item = azure_dserver.bob.read_item(uri, identifier, disposition=disposition).json
        for answer in (fetch(item["url"]), fetch(urls[identifier])):
            served = answer.headers["Content-Disposition"]
            assert served.startswith(f"{disposition}; filename=")
            name = unquote(served.partition("filename*=UTF-8''")[2])
            assert name == path.rpartition("/")[2]
            assert answer.headers["Content-Type"] == kind


def test_awkward_relpaths_come_back(azure_dserver, blobs):
    deposit = Deposit({path: path.encode() for path in AWKWARD})
    done = DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert done.status_code == 200, done.json
    check_dataset(azure_dserver, blobs, deposit)
    manifest = fetch(read(azure_dserver, done.json["uri"])["manifest_url"]).json()
    assert {entry["relpath"] for entry in manifest["items"].values()} == set(AWKWARD)


@without_headers
def test_who_returns_no_headers_is_told_that_items_are_missing_and_why(
    azure_dserver, blobs, client
):
    deposit = Deposit()
    grant = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert put(grant["upload_urls"]["readme"], README.encode(), TEXT) == 201
    for identifier, item in grant["upload_urls"]["items"].items():
        for headers in ({}, {"Content-Type": "application/octet-stream"}):
            assert put(item["url"], deposit.content(identifier), headers) == 400
    refused = azure_dserver.alice.complete(grant["uri"])
    assert (refused.status_code, refused.json["errors"]["mismatched"]) == (400, [])
    assert sorted(refused.json["errors"]["missing"]) == sorted(FILES)
    assert "headers" in refused.json["message"]

    WithHeaders().put_items(grant["upload_urls"]["items"], deposit)
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)


@pytest.mark.parametrize("manifest", [None, "agreeing", "disagreeing", "useless"])
def test_what_is_announced_by_relpaths_alone_is_as_the_store_or_the_manifest_says(
    azure_dserver, blobs, manifest
):
    deposit, client = Deposit({"one.txt": b"eins"}), WithHeaders()
    grant = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    client.put(grant, deposit)
    documents = {
        "agreeing": b'{"items": {"%s": {"hash": "%s", "size_in_bytes": 4, "utc_timestamp": 1.5}}}',
        "disagreeing": b'{"items": {"%s": {"hash": "%s", "size_in_bytes": 5, "utc_timestamp": 1}}}',
        "useless": b"%.0s%.0s[",
    }
    identifier, md5 = generate_identifier("one.txt"), hashlib.md5(b"eins").hexdigest()
    if manifest is not None:
        document = documents[manifest] % (identifier.encode(), md5.encode())
        assert put(grant["upload_urls"]["manifest"], document) == 201
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)

    written = fetch(read(azure_dserver, grant["uri"])["manifest_url"]).json()["items"]
    entry = written[identifier]
    assert (entry["relpath"], entry["size_in_bytes"], entry["hash"]) == ("one.txt", 4, md5)
    assert (entry["utc_timestamp"] == 1.5) == (manifest == "agreeing")


def test_documents_need_no_headers_and_the_last_one_counts(azure_dserver, blobs):
    client, deposit = DtoolDserver(), Deposit()
    grant = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    for content in (b"first", b"second"):
        assert put(grant["upload_urls"]["readme"], content) == 201
    # Items are missing, but the README was looked at.
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 400
    again = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert put(again["upload_urls"]["readme"], README.encode(), TEXT) == 201
    for document in ("admin_metadata", "manifest", "structure"):
        assert put(again["upload_urls"][document], b"{}") == 201
    client.put_items(again["upload_urls"]["items"], deposit)
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit)


def test_without_a_readme_it_is_empty(azure_dserver, blobs):
    deposit = Deposit(readme=None)
    done = DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert done.status_code == 200
    check_dataset(azure_dserver, blobs, deposit, readme="")
