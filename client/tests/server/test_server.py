"""What the client asks of dserver, with a real one and with one that has the reference's routes."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest
from dserver_client.client import Client


@pytest.fixture
def alice(dserver_url, lab):
    with Client(dserver_url, lab.tokens["alice"]) as client:
        yield client.server


@pytest.fixture
def reference(reference_url, lab):
    with Client(reference_url, lab.tokens["alice"]) as client:
        yield client.server


def deposited(server, base_uri, contents):
    items = [
        {"relpath": name, "size_in_bytes": len(data), "hash": hashlib.md5(data).hexdigest()}
        for name, data in contents.items()
    ]
    announcement = {
        "uuid": str(uuid4()),
        "name": "mine",
        "hash_function": "md5sum_hexdigest",
        "multipart": True,
        "items": items,
        "tags": ["2026"],
        "annotations": {"project": "cress"},
    }
    grant = server.announce(base_uri, announcement)
    for item in grant.items.values():
        data = contents[item.relpath]
        assert server.http.request("PUT", item.url, headers=item.headers, body=data).status == 200
    done = server.complete(grant.uri)
    assert (done.uri, done.name) == (grant.uri, "mine")
    return grant.uri


CONTENTS = {"a.txt": b"A", "b/c.bin": b"BC" * 100, "empty": b""}


@pytest.mark.parametrize("which", ["alice", "reference"])
def test_a_dataset_is_deposited_and_read(which, lab, request):
    server = request.getfixturevalue(which)
    uri = deposited(server, lab.base_uri, CONTENTS)
    found = {each.item.relpath: each for each in server.signed_items(uri)}
    read = {name: server.http.request("GET", each.url).data for name, each in found.items()}
    assert read == CONTENTS
    assert {name: each.item.size_in_bytes for name, each in found.items()} == {
        name: len(data) for name, data in CONTENTS.items()
    }
    identifier = found["a.txt"].item.identifier
    assert server.http.request("GET", server.sign_item(uri, identifier)).data == b"A"
    assert list(server.sign_items(uri, [identifier, "0" * 40])) == [identifier]
    urls = server.dataset_urls(uri)
    assert (urls.uri, urls.tags, list(urls.annotation_urls)) == (uri, ["2026"], ["project"])
    assert uri in [entry.uri for entry in server.datasets()]
    assert server.entry(uri).number_of_items == 3
    assert [entry.uri for entry in server.lookup(uri[-36:])] == [uri]
    assert server.tags(uri) == ["2026"]
