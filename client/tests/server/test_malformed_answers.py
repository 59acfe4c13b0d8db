"""Answers in which anything is of another type: each ends in the client's error, or in a value."""

from __future__ import annotations

import copy
import io
import json
from contextlib import suppress

import pytest
from dserver_client.errors import ClientError, Unavailable
from dserver_client.http import HTTP
from dserver_client.links import parse_link
from dserver_client.manifest import parse_manifest
from dserver_client.readable import SharedDataset
from dserver_client.server import Server
from dserver_client.settings import Settings
from dserver_client.tokens import TokenSource
from dserver_client.transfers.scheduler import Limit
from urllib3 import HTTPResponse

LAB, STORE, URI = "https://lab.org", "https://store/key?signature", "s3://bucket/uuid"
ITEM = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"  # SHA-1 of "a"
JUNK = [
    None,
    True,
    -1,
    1.5,
    10**400,
    float("inf"),
    float("nan"),
    "",
    "junk",
    "9" * 5000,
    "\ud800",
    "http://[bad/",
    "a\r\nb",
    [],
    [1],
    [[]],
    {},
    {"a": 1},
    {"a": {"b": []}},
]
RAW = [b"", b"null", b"[" * 200_000, b'{"a":' * 200_000, b"\xff", b"9" * 5000, b"<html>"]

DESCRIBED = {"relpath": "a", "size_in_bytes": 1, "hash": 32 * "a", "utc_timestamp": 1.5}
SIGNED = {**DESCRIBED, "url": STORE, "identifier": ITEM}
ENTRY = {
    "uri": URI,
    "uuid": "uuid",
    "name": "name",
    "base_uri": "s3://bucket",
    "creator_username": "alice",
    "frozen_at": 1.5,
    "created_at": "2024-01-15T14:30:00.000000Z",
    "number_of_items": 1,
    "size_in_bytes": 1,
    "tags": ["tag"],
}
DATASET = {
    "uri": URI,
    "expiry_seconds": 60,
    "admin_metadata_url": STORE,
    "manifest_url": STORE,
    "readme_url": STORE,
    "overlay_urls": {"o": STORE},
    "annotation_urls": {"a": STORE},
    "tags": ["tag"],
    "item_urls": {ITEM: STORE},
    "items": {ITEM: DESCRIBED},
}
TO_SEND = {
    "relpath": "a",
    "url": STORE,
    "headers": {"Content-MD5": "x"},
    "parts": {"size": 5, "count": 1},
}
GRANT = {
    "uri": URI,
    "uuid": "uuid",
    "expiry_seconds": 60,
    "upload_token": "token",
    "upload_urls": {"readme": STORE, "items": {ITEM: TO_SEND}},
}
PARTS = {
    "expiry_seconds": 60,
    "part_size": 5,
    "count": 2,
    "parts": {"1": {"url": STORE, "headers": {"a": "b"}}},
    "stored": {"2": {"size_in_bytes": 5, "hash": "x"}},
}
STATUS = {
    "uri": URI,
    "uuid": "uuid",
    "state": "open",
    "created_at": 1.5,
    "items": {"expected": 1, "stored": 0},
    "missing": ["a"],
    "mismatched": [{"relpath": "a"}],
    "completing": {"items_done": 1},
}
USER = {
    "username": "alice",
    "search_permissions_on_base_uris": ["s3://bucket"],
    "register_permissions_on_base_uris": [],
}
SHARE = {"id": "1", "uri": URI, "note": "a", "expires_timestamp": 1.5, "max_downloads": 1}
SHARED = {
    "name": "name",
    "uuid": "uuid",
    "note": "a",
    "readme": "a",
    "expires_timestamp": "2024-01-15T14:30:00.000000Z",
    "downloads_left": 1,
    "items": {ITEM: DESCRIBED},
}
ROUTES = {
    "whoami": (USER, lambda server: server.whoami()),
    "base_uris": (USER, lambda server: server.base_uris()),
    "versions": ({"versions": {"dserver": "1"}}, lambda server: server.versions()),
    "entry": (ENTRY, lambda server: server.entry(URI)),
    "datasets": ([ENTRY], lambda server: list(server.datasets())),
    "lookup": ([ENTRY], lambda server: server.lookup("uuid")),
    "readme": ({"readme": "text"}, lambda server: server.readme(URI)),
    "manifest": ({"items": {}}, lambda server: server.manifest(URI)),
    "tags": ({"tags": ["tag"]}, lambda server: server.tags(URI)),
    "annotations": ({"annotations": {"a": 1}}, lambda server: server.annotations(URI)),
    "dataset_urls": (DATASET, lambda server: server.dataset_urls(URI)),
    "signed_items": (DATASET, lambda server: list(server.signed_items(URI))),
    "sign_item": ({"url": STORE}, lambda server: server.sign_item(URI, ITEM)),
    "sign_items": ({"items": {ITEM: SIGNED}}, lambda server: server.sign_items(URI, [ITEM])),
    "announce": (GRANT, lambda server: dict(server.announce("s3://bucket", {}).items)),
    "unsent": ({"upload": GRANT}, lambda server: dict(server.unsent(URI).items)),
    "status": (STATUS, lambda server: server.status(URI)),
    "part_urls": (PARTS, lambda server: server.part_urls(URI, ITEM, [1], {})),
    "complete": (ENTRY, lambda server: server.complete(URI)),
    "share": (SHARE, lambda server: server.share(URI)),
    "shares": ({"shares": [SHARE], "next": None}, lambda server: list(server.shares())),
}
OPENAPI = {
    "paths": {
        "/signed-urls/dataset/{uri}": {"get": {"parameters": [{"name": "page_size"}]}},
        "/signed-urls/upload/{uri}": {
            "get": {},
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/a/b"}}}}
            },
        },
        "/signed-urls/items/{uri}": {"post": {}},
        "/signed-urls/shares/{uri}": {"post": {}},
    },
    "a": {"b": {"properties": {"uuid": {}, "multipart": {}}}},
}


class Given(HTTP):
    """Answers all requests with the same content, but for what the routes are."""

    def __init__(self, content, document=OPENAPI, status=200, kind="application/json"):
        super().__init__()
        self._content, self._status, self._kind = content, status, kind
        self.document = json.dumps(document).encode()

    def request(self, method, url, **options):
        is_document = url.endswith("/openapi.json")
        headers = {"Content-Type": "application/json" if is_document else self._kind}
        return HTTPResponse(
            io.BytesIO(self.document if is_document else self._content),
            headers,
            200 if is_document else self._status,
            preload_content=not options.get("stream"),
        )


def server_with(content, **options):
    http = Given(content, **options)
    settings = Settings(token="token", token_url=LAB)
    return Server(http, LAB, TokenSource(settings, LAB, http))


def changed(answer):
    """Yield the JSON of an answer with junk in each place."""
    yield from RAW
    for path in places(answer):
        for junk in JUNK:
            yield json.dumps(replaced(answer, path, junk)).encode()


def places(value, path=()):
    yield path
    inner = (
        value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    )
    for key in inner:
        yield from places(value[key], (*path, key))


def replaced(answer, path, junk):
    if not path:
        return junk
    answer = copy.copy(answer)
    answer[path[0]] = replaced(answer[path[0]], path[1:], junk)
    return answer


@pytest.mark.parametrize("route", ROUTES)
def test_the_answer_as_it_should_be_is_understood(route):
    answer, call = ROUTES[route]
    call(server_with(json.dumps(answer).encode()))


@pytest.mark.parametrize("route", ROUTES)
def test_junk_ends_in_the_clients_error(route):
    answer, call = ROUTES[route]
    for content in changed(answer):
        with suppress(ClientError):
            call(server_with(content))


@pytest.mark.parametrize("route", ["whoami", "announce", "signed_items"])
def test_junk_in_an_error_ends_in_the_clients_error(route):
    errors = {"message": "no", "msg": "no", "errors": {"slug": "slug", "json": ["x"]}}
    for content in changed(errors):
        with pytest.raises(ClientError):
            ROUTES[route][1](server_with(content, status=409))


def test_junk_among_items_that_are_streamed_ends_in_the_clients_error():
    for content in changed(SIGNED):
        with suppress(ClientError):
            lines = b"{}\n" + content + b"\n"
            list(server_with(lines, kind="application/x-ndjson").signed_items(URI))


def test_junk_behind_a_link_ends_in_the_clients_error():
    link = parse_link(f"{LAB}/signed-urls/s/{32 * 'a'}")
    understood = SharedDataset(Given(json.dumps(SHARED).encode()), link)
    assert [item.relpath for item in understood.items()] == ["a"]
    for content in changed(SHARED):
        dataset = SharedDataset(Given(content), link)
        with suppress(ClientError):
            dataset.urls([item.identifier for item in dataset.items()], Limit())


def test_junk_in_the_description_of_routes_ends_in_the_clients_error():
    for content in changed(OPENAPI):
        server = server_with(content)
        server.http.document = content
        with suppress(ClientError):
            server.capabilities()


def test_junk_in_a_manifest_ends_in_the_clients_error():
    for content in changed({"hash_function": "md5sum_hexdigest", "items": {ITEM: DESCRIBED}}):
        with suppress(ClientError):
            parse_manifest(content)


@pytest.mark.parametrize("size", [5 * 1024**4 + 1, 2**62, -1])
def test_sizes_that_no_object_has_are_refused(size):
    described = {"items": {ITEM: {**DESCRIBED, "size_in_bytes": size}}}
    with pytest.raises(ClientError, match="manifest"):
        parse_manifest(json.dumps(described).encode())
    signed = json.dumps({"items": {ITEM: {**SIGNED, "size_in_bytes": size}}}).encode()
    with pytest.raises(Unavailable, match="no dserver says"):
        server_with(signed).sign_items(URI, [ITEM])


@pytest.mark.parametrize(
    "url", ["http://[bad/x", "http:///x", "ftp://a/x", "https://a/x\r\ny", "x"]
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(Unavailable, match="no dserver says"):
        server_with(json.dumps({"url": url}).encode()).sign_item(URI, ITEM)
