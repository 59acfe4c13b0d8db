"""What a URL of Azure cannot do, tried with the URLs that people are given."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.storage.values import DOCUMENTS, Item, Life
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.azure_holdings import Blob, check_dataset, containers
from tests.support.clients import Deposit, DtoolDserver, urls_in
from tests.support.dserver import Dserver
from tests.support.stored_upload import REFUSED, tampered

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
ONE, TWO = map(generate_identifier, FILES)

Grant = Mapping[str, Any]


def send(method: str, url: str, content: bytes = b"", **headers: str) -> int:
    """Send as it is, and return the status; underscores in names of headers are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, url, data=content, headers=named, timeout=30).status_code


def put(item: Mapping[str, Any], content: bytes, **changed: str | None) -> int:
    """PUT with the headers that came with a URL, some changed or, with None, left out."""
    headers = {**item["headers"], **{name.replace("_", "-"): v for name, v in changed.items()}}
    kept = {name: value for name, value in headers.items() if value is not None}
    return requests.put(item["url"], data=content, headers=kept, timeout=30).status_code


@pytest.fixture
def deposit() -> Deposit:
    return Deposit(FILES, more={"tags": ["t"], "annotations": {"a": 1}})


@pytest.fixture
def grant(azure_dserver, deposit) -> Grant:
    """What alice may PUT; she has not yet."""
    return DtoolDserver().begin(azure_dserver.alice, azure_dserver.base_uri, deposit)


@pytest.fixture
def uri(azure_dserver, grant, deposit) -> str:
    """A dataset."""
    DtoolDserver().put(grant, deposit)
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    return str(grant["uri"])


@pytest.fixture
def past() -> Life:
    """An hour that ended a second ago."""
    ends = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(seconds=1)
    return Life(ends - timedelta(hours=1), 3600, ends)


def one_and_two(azure_dserver: Dserver, uri: str) -> tuple[str, str]:
    urls = azure_dserver.bob.read(uri).json["item_urls"]
    return urls[ONE], urls[TWO]


# Reading -------------------------------------------------------------------------------------


def test_a_tampered_read_url_is_refused(azure_dserver, uri):
    url, _ = one_and_two(azure_dserver, uri)
    answers = {name: send("GET", other) for name, other in tampered(url).items()}
    assert answers.keys() > {"se", "sp", "sr", "sv", "sig", "rscd", "rsce", "rsct"}
    assert {name for name, status in answers.items() if status not in REFUSED | {404}} == set()


def test_a_read_url_opens_no_other_blob_and_no_listing(azure_dserver, deposit, uri):
    url, _ = one_and_two(azure_dserver, uri)
    for other in (TWO, "dtool", "manifest.json", "README.yml"):
        assert send("GET", url.replace(ONE, other)) == 403
    container = f"{deposit.uuid}?restype=container&comp=list&"
    assert send("GET", url.replace(f"{deposit.uuid}/{ONE}?", container)) == 403


def test_a_read_url_writes_and_deletes_nothing(azure_dserver, blobs, deposit, uri):
    before = containers(blobs, deposit.uuid)
    answer = azure_dserver.bob.read(uri).json
    for url in urls_in(answer):
        for more in ("", "&comp=block&blockid=AAAA", "&comp=metadata", "&comp=snapshot"):
            assert send("PUT", f"{url}{more}", b"mine", **BLOCK_BLOB) == 403
        assert send("DELETE", url) == 403
    assert containers(blobs, deposit.uuid) == before


# Writing -------------------------------------------------------------------------------------


def test_an_expired_write_url_is_refused(azure_dserver, blobs, deposit, grant, past):
    before = containers(blobs, deposit.uuid)
    items = [
        Item(name, item["relpath"], hash=hashlib.md5(deposit.content(name)).hexdigest())
        for name, item in grant["upload_urls"]["items"].items()
    ]
    urls = azure_dserver.storage.uploads.write_urls(
        deposit.uuid, "s" * 32, items, past, pinned=True
    )
    for name, item in urls.items.items():
        assert send("PUT", item.url, deposit.content(name), **item.headers) == 403
    assert [send("PUT", urls.documents[name], b"late") for name in DOCUMENTS] == [403] * 4
    assert containers(blobs, deposit.uuid) == before


def test_a_tampered_write_url_is_refused(blobs, deposit, grant):
    before = containers(blobs, deposit.uuid)
    item = grant["upload_urls"]["items"][ONE]
    for url in tampered(item["url"]).values():
        assert put({**item, "url": url}, b"eins") in REFUSED
    for other in (generate_identifier("three.txt"), TWO, "dtool", "manifest.json"):
        assert put({**item, "url": item["url"].replace(ONE, other)}, b"eins") == 403
    readme = grant["upload_urls"]["readme"]
    # Which block is written is not signed; only one is ever committed.
    for name in tampered(readme).keys() - {"blockid"}:
        assert send("PUT", tampered(readme)[name], b"mine") in REFUSED
    for other in (readme.replace("README.yml", "claim.json"), readme.replace("-upload", "")):
        assert send("PUT", other, b"mine") == 403
    assert containers(blobs, deposit.uuid) == before


def test_a_write_url_used_twice_is_refused_and_the_first_bytes_stay(
    azure_dserver, blobs, deposit, grant
):
    item = grant["upload_urls"]["items"][ONE]
    assert put(item, b"eins") == 201
    before = containers(blobs, deposit.uuid)
    assert put(item, b"eins") == 403
    assert put(item, b"else", Content_MD5=None, x_ms_blob_content_md5=None) == 403
    for more in ("&comp=block&blockid=AAAA", "&comp=metadata", "&comp=properties"):
        assert put({**item, "url": f"{item['url']}{more}"}, b"else") in REFUSED
    assert send("DELETE", item["url"]) == send("GET", item["url"]) == 403
    assert containers(blobs, deposit.uuid) == before


def test_the_wrong_bytes_are_refused(blobs, deposit, grant):
    item = grant["upload_urls"]["items"][ONE]
    for content in (b"zwei", b"eins!", b""):
        assert put(item, content) == 400
    other = base64.b64encode(hashlib.md5(b"zwei").digest()).decode()
    assert put(item, b"eins", Content_MD5=other, x_ms_blob_content_md5=other) == 400
    assert ONE not in containers(blobs, deposit.uuid)[deposit.uuid].blobs
    assert put(item, b"eins") == 201


def test_a_put_without_a_blob_type_is_refused(blobs, deposit, grant):
    item = grant["upload_urls"]["items"][ONE]
    assert put(item, b"eins", x_ms_blob_type=None) == 400
    assert put({**item, "headers": {}}, b"eins") == 400
    assert ONE not in containers(blobs, deposit.uuid)[deposit.uuid].blobs


# Wrong blobs ---------------------------------------------------------------------------------


def other_bytes(item: Mapping[str, Any], source: str) -> int:
    return send("PUT", item["url"], b"else", **BLOCK_BLOB)


def append_blob(item: Mapping[str, Any], source: str) -> int:
    return send("PUT", item["url"], x_ms_blob_type="AppendBlob")


def page_blob(item: Mapping[str, Any], source: str) -> int:
    size = {"x_ms_blob_content_length": "512"}
    return send("PUT", item["url"], x_ms_blob_type="PageBlob", **size)


def copied(item: Mapping[str, Any], source: str) -> int:
    return send("PUT", item["url"], x_ms_copy_source=source)


def copied_at_once(item: Mapping[str, Any], source: str) -> int:
    return send("PUT", item["url"], x_ms_copy_source=source, x_ms_requires_sync="true")


WRONG = {
    other_bytes: None,
    append_blob: "not a block blob but AppendBlob",
    page_blob: "not a block blob but PageBlob",
    copied: "copied by the store, not sent",
    copied_at_once: "copied by the store, not sent",
}


@pytest.fixture
def source(blobs, azure_dserver) -> str:
    """A URL to read the very bytes that alice announces, elsewhere in the same account."""
    copy = Deposit({"one.txt": b"eins"})
    uri = DtoolDserver().upload(azure_dserver.alice, azure_dserver.base_uri, copy).json["uri"]
    return str(azure_dserver.alice.read_item(uri, ONE).json["url"])


@pytest.mark.parametrize("write", WRONG)
def test_a_wrong_blob_is_reported_and_replaced_when_the_upload_is_announced_again(
    azure_dserver, blobs, deposit, grant, source, write
):
    assert write(grant["upload_urls"]["items"][ONE], source) in {201, 202}
    assert put(grant["upload_urls"]["items"][TWO], b"zwei") == 201
    right = stored(blobs, deposit, TWO)

    refused = azure_dserver.alice.complete(grant["uri"])
    assert (refused.status_code, refused.json["errors"]["missing"]) == (400, [])
    [wrong] = refused.json["errors"]["mismatched"]
    assert wrong["relpath"] == "one.txt"
    assert wrong["expected"] == {"size_in_bytes": 4, "hash": hashlib.md5(b"eins").hexdigest()}
    assert wrong["found"].get("defect") == WRONG[write]
    assert azure_dserver.bob.read(grant["uri"]).status_code == 404

    fresh = DtoolDserver().begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert put(fresh["upload_urls"]["items"][ONE], b"eins") == 201
    assert stored(blobs, deposit, TWO) == right
    assert azure_dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(azure_dserver, blobs, deposit, readme="")


def stored(blobs: Any, deposit: Deposit, identifier: str) -> Blob:
    return containers(blobs, deposit.uuid)[deposit.uuid].blobs[identifier]


def test_a_blob_replaced_between_listing_and_deletion_stays(
    make_azure_dserver, azure_proxy, blobs, deposit
):
    dserver, client = make_azure_dserver(**azure_proxy.settings()), DtoolDserver()
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    assert other_bytes(grant["upload_urls"]["items"][ONE], "") == 201

    def replace(request: Any) -> None:
        """As another resume of the same upload, and the PUT that followed it, a moment ago."""
        if request.method == "DELETE":
            blobs.delete_blob(deposit.uuid, ONE)
            client.put(grant, deposit)

    azure_proxy.before = replace
    client.begin(dserver.alice, dserver.base_uri, deposit)
    azure_proxy.heal()
    assert "DELETE" in {request.method for request in azure_proxy.requests}
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, blobs, deposit)


def test_a_tag_that_azure_cannot_keep_is_refused_before_anything_is_written(azure_dserver, blobs):
    deposit = Deposit(FILES, more={"tags": ["good", "v1."]})
    plan = DtoolDserver().plan(deposit)
    answer = azure_dserver.alice.begin(azure_dserver.base_uri, plan)
    assert (answer.status_code, "'v1.' ends in a dot" in answer.json["message"]) == (400, True)
    assert containers(blobs, deposit.uuid) == {}


def test_an_item_that_nobody_announced_is_not_frozen_into_the_dataset(
    azure_dserver, blobs, deposit, grant
):
    DtoolDserver().put(grant, deposit)
    blobs.create_blob_from_bytes(deposit.uuid, generate_identifier("three.txt"), b"drei")
    refused = azure_dserver.alice.complete(grant["uri"])
    assert (refused.status_code, "not announced" in refused.json["message"]) == (400, True)
