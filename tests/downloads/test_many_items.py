"""Reading datasets with many items: streamed, by page, one item per line, and compressed."""

from __future__ import annotations

import json
from hashlib import md5
from typing import Any

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.demo.store import s3_client
from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded
from tests.support.refusals import assert_refused

FILES = {f"data/{number}.txt": b"%d" % number for number in range(7)}
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def uri(each_lab: Dserver) -> str:
    return deposited(each_lab)


def deposited(dserver: Dserver) -> str:
    deposit = Deposit(FILES, more={"tags": ["one"], "annotations": {"a": 1}})
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


def read(dserver: Dserver, uri: str, method: str = "get", **headers: str) -> Any:
    client = dserver.app.test_client()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    names["Authorization"] = f"Bearer {dserver.tokens['bob']}"
    return getattr(client, method)(f"/signed-urls/dataset/{encoded(uri)}", headers=names)


def without_signatures(urls: dict[str, str]) -> dict[str, str]:
    """The moment of signing may differ."""
    return {name: url.partition("?")[0] for name, url in urls.items()}


DETAILS = {
    generate_identifier(relpath): {
        "relpath": relpath,
        "size_in_bytes": len(content),
        "hash": md5(content).hexdigest(),
    }
    for relpath, content in FILES.items()
}


def test_details_are_what_the_manifest_says(each_lab, uri):
    plain, detailed = each_lab.bob.read(uri).json, each_lab.bob.read(uri, details="true").json
    assert detailed.pop("items") == DETAILS
    assert detailed.keys() == plain.keys()
    assert detailed["item_urls"].keys() == DETAILS.keys()


def test_ndjson_has_one_item_per_line(each_lab, uri):
    plain, answer = each_lab.bob.read(uri).json, read(each_lab, uri, Accept=NDJSON)
    assert answer.content_type == NDJSON
    head, *items = map(json.loads, answer.text.splitlines())
    urls = plain.pop("item_urls")
    assert head.keys() == plain.keys()
    found = {item.pop("identifier"): item.pop("url") for item in items}
    assert without_signatures(found) == without_signatures(urls)
    assert sorted(items, key=str) == sorted(DETAILS.values(), key=str)


@pytest.mark.parametrize(
    "accepted", ["*/*", "application/json", f"{NDJSON};q=0.5, */*", "text/html"]
)
def test_json_is_the_answer_to_whoever_does_not_ask_for_lines(each_lab, uri, accepted):
    answer = read(each_lab, uri, Accept=accepted)
    assert answer.json["item_urls"].keys() == DETAILS.keys()
    assert {"Accept", "Accept-Encoding"} >= set(answer.headers["Vary"].split(", ")) >= {"Accept"}


def test_pages_are_the_whole(each_lab, uri):
    whole, found, number = each_lab.bob.read(uri).json, {}, 1
    while number is not None:
        answer = each_lab.bob.read(uri, page=number, page_size=3, details=True)
        pages = json.loads(answer.headers["X-Pagination"])
        assert (pages["total"], pages["total_pages"], pages["page"]) == (7, 3, number)
        assert (pages["first_page"], pages["last_page"]) == (1, 3)
        assert pages.get("previous_page") == (number - 1 or None)
        assert answer.json["items"].keys() == answer.json["item_urls"].keys()
        assert answer.json["tags"] == whole["tags"]
        found |= answer.json["item_urls"]
        number = pages.get("next_page")
    assert without_signatures(found) == without_signatures(whole["item_urls"])
    assert "X-Pagination" not in each_lab.bob.read(uri).headers


def test_the_header_for_pages_is_that_of_dserver(lab):
    ours = lab.bob.read(deposited(lab), page=1).headers["X-Pagination"]
    theirs = lab.admin.get("/base-uris", query_string={"page": 1}).headers["X-Pagination"]
    assert json.loads(ours).keys() == json.loads(theirs).keys()


def test_a_page_beyond_the_last_is_not_found(each_lab, uri):
    assert_refused(each_lab.bob.read(uri, page=4, page_size=3), 404, "no page 4", "last is 3")
    assert len(each_lab.bob.read(uri, page_size=3).json["item_urls"]) == 3
    assert len(each_lab.bob.read(uri, page=1).json["item_urls"]) == 7


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"page": -1},
        {"page": "two"},
        {"page_size": 0},
        {"page_size": 10_001},
        {"details": "maybe"},
        {"page": 1, "format": "curl"},
    ],
    ids=str,
)
def test_a_page_that_cannot_be_is_refused_with_the_field(each_lab, uri, query):
    assert_refused(each_lab.bob.read(uri, **query), 422, next(iter(query)))


def test_head_and_options_are_answered_as_ever(each_lab, uri):
    head = read(each_lab, uri, "head", Accept_Encoding="gzip")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Cache-Control"] == "no-store"
    assert "GET" in read(each_lab, uri, "options").headers["Allow"]


# A hundred thousand ----------------------------------------------------------------------------

NUMBER = 20_000


@pytest.fixture(scope="module")
def large(lab: Dserver) -> str:
    """A dataset whose manifest has many items."""
    uri = deposited(lab)
    items = {
        generate_identifier(str(number)): {
            "relpath": f"data/{number}.raw",
            "size_in_bytes": number,
            "hash": md5(b"%d" % number).hexdigest(),
            "utc_timestamp": 1.0,
        }
        for number in range(NUMBER)
    }
    put_manifest(lab, uri, json.dumps({"items": items}).encode())
    return uri


def put_manifest(dserver: Dserver, uri: str, content: bytes) -> None:
    bucket = dserver.bucket
    key = f"{DatasetURI.parse(uri).uuid}/manifest.json"
    client = s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key)
    client.put_object(Bucket=bucket.name, Key=key, Body=content)


@pytest.mark.parametrize("accepted", ["application/json", NDJSON])
def test_a_large_answer_is_sent_in_chunks(lab, large, accepted):
    answer = read(lab, large, Accept=accepted)
    chunks = list(answer.response)
    assert "Content-Length" not in answer.headers
    assert b"".join(chunks).count(lab.bucket.endpoint.encode()) >= NUMBER
    assert max(map(len, chunks)) < 512 * 1024


@on_each_database
def test_no_connection_of_the_database_is_held_while_an_answer_is_read(make_dserver):
    only_one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=only_one)
    uri = deposited(dserver)
    first, second = (read(dserver, uri, Accept=NDJSON) for _ in range(2))
    assert first.text.count("\n") == second.text.count("\n") == len(FILES) + 1


def test_a_large_answer_is_compressed(lab, large):
    answer = read(lab, large, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < NUMBER * 200


def test_what_fails_fails_before_the_first_byte(lab):
    uri = deposited(lab)
    put_manifest(lab, uri, b'{"items": 7}')
    assert_refused(read(lab, uri, Accept=NDJSON), 502, "manifest")
