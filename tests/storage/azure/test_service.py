"""Requests to an account: what is sent, what is believed, and how much of it is read."""

from __future__ import annotations

import socket

import pytest
import urllib3
from urllib3.exceptions import HTTPError

from dserver_signed_url_plugin.storage.azure.service import (
    AzureRefusal,
    BlobService,
    UnexpectedAzureAnswer,
)
from dserver_signed_url_plugin.storage.azure.shared_key import SharedKey
from tests.support.answering_server import Answer, Answering

OURS = {"x-ms-request-id": "1"}


def service_of(server):
    return BlobService(server.endpoint, SharedKey("lab", b"key"), urllib3.PoolManager())


def answered(answer, method="GET", **options):
    with Answering([answer]) as server:
        return service_of(server).send(method, "container/blob", **options)


def test_a_body_is_read_to_its_limit_only():
    answer = Answer(content=b"0123456789", headers=OURS)
    assert answered(answer, limit=10).body == b"0123456789"
    assert answered(answer, limit=4, truncate=True).body == b"0123"
    with pytest.raises(UnexpectedAzureAnswer, match="more than 9 bytes"):
        answered(answer, limit=9)


def test_a_body_that_does_not_end_is_not_read_to_its_end():
    endless = Answer(content=b"x" * 1000, headers={**OURS, "Content-Length": str(10**15)})
    with pytest.raises(UnexpectedAzureAnswer, match="more than 100 bytes"):
        answered(endless, limit=100)


def test_a_body_that_is_cut_off_is_none():
    with Answering([Answer(content=b"half", headers={**OURS, "Content-Length": "8"})]) as server:
        service = service_of(server)
        service.timeout = urllib3.Timeout(connect=1, read=0.1)
        with pytest.raises(HTTPError):
            service.send("GET", "container/blob")


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (Answer(302, headers={**OURS, "Location": "http://127.0.0.1:9/"}), "a redirect"),
        (Answer(304, headers=OURS), "a redirect"),
        (Answer(204, headers=OURS), "status 204"),
        (Answer(content=b"<html>"), "no x-ms-request-id"),
    ],
)
def test_what_azure_does_not_answer_is_not_believed(answer, wrong):
    with pytest.raises(UnexpectedAzureAnswer, match=wrong):
        answered(answer)


RANGE = {"x-ms-range": "bytes=0-9"}


@pytest.mark.parametrize(
    ("status", "sent", "requested", "wrong"),
    [
        (206, {"Content-Range": "bytes 5-7/900"}, {}, "a part"),
        (206, {"Content-Range": "bytes 0-2/3"}, {}, "a part"),
        (206, {"Content-Range": "bytes 5-7/900"}, RANGE, "a part"),
        (206, {}, RANGE, "a part"),
        (206, {"Content-Range": "bytes 0-2/900"}, RANGE, "a part"),
        (206, {"Content-Range": "bytes 0-9/900"}, RANGE, "a part"),
        (200, {"Content-Length": "-1", "Connection": "close"}, {}, "no length"),
        (200, {"Content-Encoding": "gzip"}, {}, "a Content-Encoding"),
        (200, {"Content-MD5": "kAFQmDzST7DWlj99KOF/cA=="}, {}, "their MD5"),
    ],
)
def test_a_part_is_not_taken_for_the_whole(status, sent, requested, wrong):
    with pytest.raises(UnexpectedAzureAnswer, match=wrong):
        answered(Answer(status, b"abd", headers={**OURS, **sent}), headers=requested)


@pytest.mark.parametrize(("sent", "last"), [("bytes 0-2/900", 2), ("bytes 0-2/3", 9)])
def test_a_part_that_was_requested_is_taken(sent, last):
    answer = Answer(206, b"abc", headers={**OURS, "Content-Range": sent})
    assert answered(answer, headers={"x-ms-range": f"bytes=0-{last}"}).body == b"abc"


def test_a_refusal_has_the_stores_own_code_or_the_status():
    with pytest.raises(AzureRefusal) as named:
        answered(Answer(409, code="BlobAlreadyExists", headers=OURS), "PUT")
    with pytest.raises(AzureRefusal) as bare:
        answered(Answer(403))
    assert [(each.value.status, each.value.code) for each in (named, bare)] == [
        (409, "BlobAlreadyExists"),
        (403, "403"),
    ]


@pytest.mark.parametrize(("status", "times"), [(500, 2), (503, 2), (501, 1), (429, 1), (403, 1)])
def test_a_request_is_repeated_once_if_the_store_stumbles(status, times):
    with Answering([Answer(status)]) as server:
        with pytest.raises(AzureRefusal):
            service_of(server).send("GET", "container/blob")
        assert len(server.asked) == times


def test_a_request_that_is_not_answered_in_time_is_not_repeated():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        service = BlobService(endpoint, SharedKey("lab", b"key"), urllib3.PoolManager())
        assert service.timeout.connect_timeout + service.timeout.read_timeout <= 20
        service.timeout = urllib3.Timeout(connect=1, read=0.1)
        with pytest.raises(urllib3.exceptions.TimeoutError):
            service.send("GET", "container/blob")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_connection_is_kept_unless_a_response_was_not_read_to_its_end():
    whole = Answer(content=b"0123456789", headers=OURS)
    with Answering([whole]) as server:
        service = service_of(server)
        for _ in range(2):
            service.send("GET", "container/blob")
        assert len(server.connections) == 1
        service.send("GET", "container/blob", limit=3, truncate=True)
        assert service.send("GET", "container/blob").body == b"0123456789"
        assert len(server.connections) == 2


def test_a_body_is_sent_as_it_is_and_nothing_is_made_up():
    with Answering([Answer(201, headers=OURS)]) as server:
        service_of(server).send("PUT", "a/ü b", {"comp": "x/y"}, {"x-ms-meta-a": "b"}, b"body")
        [request] = server.requests
    assert (request.method, request.target) == ("PUT", "/a/%C3%BC%20b?comp=x%2Fy")
    assert request.body == b"body"
    assert {name.lower() for name in request.headers} == {
        "accept-encoding",
        "authorization",
        "content-length",
        "host",
        "user-agent",
        "x-ms-date",
        "x-ms-meta-a",
        "x-ms-version",
    }
