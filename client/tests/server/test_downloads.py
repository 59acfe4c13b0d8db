"""Items that dserver streams one by one, and answers that break off."""

from __future__ import annotations

import json

import pytest
from dserver_client.client import Client
from dserver_client.errors import Unavailable

from tests.support.answering_server import Answer, Answering

URI = "s3://bucket/dddddddd-dddd-4ddd-8ddd-dddddddddddd"
HEAD = b'{"uri": "s3://bucket"}\n'


def line(number, **changed):
    item = {
        "identifier": f"{number:040}",
        "relpath": f"{number}.txt",
        "size_in_bytes": number,
        "hash": 32 * "a",
        "url": f"http://store/{number}?signature",
    }
    return json.dumps({**item, **changed}).encode() + b"\n"


@pytest.fixture
def items():
    """The items of a dserver that streams these bytes, until they end or are found wrong."""

    def items(content, **headers):
        found = []
        headers = {"Content-Type": "application/x-ndjson", **headers}
        answering = Answering([Answer(content=content, headers=headers)])
        with answering as server, Client(server.endpoint, "token") as client:
            try:
                found.extend(each.item.relpath for each in client.server.signed_items(URI))
            except Unavailable as error:
                found.append(str(error))
        return found

    return items


def test_items_come_one_by_one(items):
    assert items(HEAD + line(1) + line(2)) == ["1.txt", "2.txt"]


def test_a_dataset_may_have_no_items(items):
    assert items(HEAD) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEAD + line(1)[:-20],
        HEAD + b"<html>\n",
        HEAD + b"[]\n",
        HEAD + line(1, url="file:///etc/passwd"),
        HEAD + line(1, relpath=None, url=None),
        HEAD + b"x" * (2 << 20),
    ],
    ids=["nothing", "cut off", "html", "list", "other url", "no url", "endless line"],
)
def test_what_is_no_list_of_items_is_an_error(items, content):
    [error] = items(content)
    assert error.startswith(("http://", "The answer of http://"))


def test_what_came_before_the_answer_broke_off_is_good(items):
    headers = {"Content-Length": "999999", "Connection": "close"}
    lines = b"".join(line(number) for number in range(1_000))
    *names, error = items(HEAD + lines, **headers)
    assert names
    assert names == [f"{number}.txt" for number in range(len(names))]
    assert "cannot be reached" in error


def test_a_page_of_a_proxy_is_no_manifest():
    page = Answer(content=b"{}", headers={"Content-Type": "text/html"})
    with Answering([]) as server, Client(server.endpoint, "token") as client:
        dataset = {"item_urls": {}, "manifest_url": f"{server.endpoint}/manifest"}
        headers = {"Content-Type": "application/json"}
        server.answers += [Answer(content=json.dumps(dataset).encode(), headers=headers), page]
        with pytest.raises(Unavailable, match="dataset's manifest in the store's place"):
            list(client.server.signed_items(URI))
