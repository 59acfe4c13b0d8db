"""Lists of links that come in pages."""

from __future__ import annotations

import json

from dserver_client.client import Client

from tests.support.answering_server import Answer, Answering

URI = "s3://bucket/dddddddd-dddd-4ddd-8ddd-dddddddddddd"


def answer(document):
    headers = {"Content-Type": "application/json"}
    return Answer(content=json.dumps(document).encode(), headers=headers)


def page(ids, following):
    return answer({"shares": [{"id": each, "uri": URI} for each in ids], "next": following})


def test_all_pages_are_listed():
    routes = answer({"paths": {"/signed-urls/shares/{uri}": {"post": {}}}})
    answers = [routes, page("ab", "2026/b"), page("c", None)]
    with Answering(answers) as server, Client(server.endpoint, "token") as client:
        assert [each.id for each in client.server.shares(URI)] == ["a", "b", "c"]
    assert server.asked[2].endswith("&before=2026%2Fb")
