"""Announcing, asking, completing and cancelling, with a real dserver."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import pytest
from dserver_client.client import Client
from dserver_client.errors import NotLoggedIn, Refused
from dserver_client.settings import Settings

from tests.support.answering_server import Answer, Answering
from tests.support.http_server import serving

PART = 5 * 1024**2
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def alice(dserver_url, lab):
    with Client(dserver_url, lab.tokens["alice"]) as client:
        yield client.server


def announcement(**contents):
    items = [
        {"relpath": name, "size_in_bytes": len(data), "hash": hashlib.md5(data).hexdigest()}
        for name, data in contents.items()
    ]
    known = {"hash_function": "md5sum_hexdigest", "multipart": True}
    return {"uuid": str(uuid4()), "name": "mine", "items": items, **known}


def send(server, grant, **contents):
    for item in grant.items.values():
        data = contents[item.relpath]
        assert server.http.request("PUT", item.url, headers=item.headers, body=data).status == 200


def test_the_status_tells_what_is_missing(alice, lab):
    announced = announcement(a=b"A", b=b"B")
    grant = alice.announce(lab.base_uri, announced)
    [a] = [item for item in grant.items.values() if item.relpath == "a"]
    alice.http.request("PUT", a.url, headers=a.headers, body=b"A")
    status = alice.status(grant.uri)
    assert (status.state, status.uploader, status.missing) == ("open", "alice", ["b"])
    assert (status.items_expected, status.items_stored) == (2, 1)
    assert [item.relpath for item in alice.unsent(grant.uri).items.values()] == ["b"]
    assert [item.relpath for item in alice.announce(lab.base_uri, announced).items.values()] == [
        "b"
    ]
    with pytest.raises(Refused) as raised:
        alice.complete(grant.uri)
    assert (raised.value.slug, raised.value.facts["missing"]) == ("upload-incomplete", ["b"])
    assert raised.value.request_id
    send(alice, alice.unsent(grant.uri), b=b"B")
    alice.complete(grant.uri)
    assert alice.status(grant.uri).state == "registered"


def test_an_upload_is_cancelled(alice, lab):
    grant = alice.announce(lab.base_uri, announcement(a=b"A"))
    alice.cancel(grant.uri)
    with pytest.raises(Refused) as raised:
        alice.status(grant.uri)
    assert raised.value.status == 404


def test_the_token_of_an_upload_stands_for_one_that_has_ended(dserver_url, lab, tmp_path):
    path = tmp_path / "token"
    path.write_text(lab.tokens["alice"])
    with Client(dserver_url, settings=Settings(token_file=path)) as client:
        server = client.server
        grant = server.announce(lab.base_uri, announcement(a=b"A"))
        assert grant.upload_token not in repr(grant)
        send(server, grant, a=b"A")
        path.unlink()
        with Client(dserver_url, settings=Settings(token_file=path)) as other:
            with pytest.raises(NotLoggedIn):
                other.server.complete(grant.uri)
            other.server._upload_tokens.update(server._upload_tokens)
            assert other.server.status(grant.uri).items_stored == 1
            assert other.server.complete(grant.uri).uri == grant.uri


def test_a_token_of_an_upload_that_is_refused_gives_way_to_the_other(alice, lab):
    grant = alice.announce(lab.base_uri, announcement(a=b"A"))
    alice._upload_tokens[grant.uri] = "x.y.z"
    assert alice.status(grant.uri).state == "open"


def test_parts_are_signed_and_found(make_dserver, bucket):
    content = bytes(PART + 1)
    lab = make_dserver(SIGNED_URL_PART_BYTES=PART)
    with serving(lab.app) as url, Client(url, lab.tokens["alice"]) as client:
        server = client.server
        grant = server.announce(bucket.base_uri, announcement(a=content))
        [item] = grant.items.values()
        assert (item.url, item.part_size, item.part_count) == (None, PART, 2)
        hashes = {2: hashlib.md5(b"\0").hexdigest()}
        signed = server.part_urls(grant.uri, item.identifier, [1, 2], hashes)
        assert (signed.count, signed.part_size, signed.stored) == (2, PART, {})
        for number, body in ((1, content[:PART]), (2, content[PART:])):
            part = signed.parts[number]
            answer = server.http.request("PUT", part.url, headers=part.headers, body=body)
            assert answer.status == 200
        again = server.part_urls(grant.uri, item.identifier, [1], {})
        assert {number: each.size_in_bytes for number, each in again.stored.items()} == {
            1: PART,
            2: 1,
        }
        assert server.complete(grant.uri).verified == "parts"


class Counting:
    """Progress that counts items."""

    items = 0

    def start(self, *_):
        raise AssertionError

    def advance(self, size_in_bytes, items=0):
        assert size_in_bytes == 0
        self.items += items

    def finish(self):
        raise AssertionError


def test_a_completion_is_waited_for_in_steps():
    uri = f"s3://bucket/{uuid4()}"
    wait = {"requestBody": {"content": {"application/json": {"schema": {"properties": {}}}}}}
    wait["requestBody"]["content"]["application/json"]["schema"]["properties"]["wait_seconds"] = {}
    document = {"paths": {"/signed-urls/upload-complete": {"post": wait}}}
    steps = [{"items_done": 3}, {"items_done": 5}]
    done = {"uri": uri, "uuid": uri[-36:], "name": "mine", "status": "registered"}
    answers = [
        Answer(content=json.dumps(document).encode(), headers=JSON),
        *(
            Answer(202, json.dumps(step).encode(), headers={**JSON, "Retry-After": "0"})
            for step in steps
        ),
        Answer(content=json.dumps(done).encode(), headers=JSON),
    ]
    progress = Counting()
    with Answering(answers) as server, Client(server.endpoint, "token") as client:
        assert client.server.complete(uri, progress).name == "mine"
    assert progress.items == 5
    assert json.loads(server.requests[-1].body) == {"uri": uri, "wait_seconds": 20}


def test_a_completion_whose_answer_was_lost_is_found_registered(reference_url, lab):
    with Client(reference_url, lab.tokens["alice"]) as client:
        server = client.server
        grant = server.announce(lab.base_uri, announcement(a=b"A"))
        send(server, grant, a=b"A")
        once = server.complete(grant.uri)
        assert server.complete(grant.uri) == once
        with pytest.raises(Refused):
            server.complete(f"{lab.base_uri}/{uuid4()}")
