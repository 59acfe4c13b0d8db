"""What a dserver can do is asked, not guessed."""

from __future__ import annotations

import json

import pytest
from dserver_client.client import Client
from dserver_client.errors import NotSupported, Refused
from dserver_client.server import Capabilities

from tests.support.answering_server import Answer, Answering

URI = "s3://bucket/dddddddd-dddd-4ddd-8ddd-dddddddddddd"
QUOTED = "s3%3A%2F%2Fbucket%2Fdddddddd-dddd-4ddd-8ddd-dddddddddddd"
JSON = {"Content-Type": "application/json"}
HTML = Answer(200, b"<html>", headers={"Content-Type": "text/html"})


def answer(document, status=200):
    return Answer(status, json.dumps(document).encode(), headers=JSON)


@pytest.fixture
def asked():
    """Run a dserver that gives these answers; yield it, and a client."""
    running = []

    def start(*answers):
        server = Answering(list(answers)).__enter__()
        client = Client(server.endpoint, "token")
        running.append((server, client))
        return server, client.server

    yield start
    for server, client in running:
        client.close()
        server.__exit__()


def test_this_plugin_can_do_everything_that_has_a_route(dserver_url):
    with Client(dserver_url, "token") as client:
        found = client.server.capabilities()
    assert found.announcement_fields == Capabilities.of_plugin().announcement_fields
    able = {name for name in found.__dataclass_fields__ if getattr(found, name) is True}
    plugin = Capabilities.of_plugin()
    assert able >= {name for name in plugin.__dataclass_fields__ if getattr(plugin, name) is True}
    assert not able & {"write_readme", "write_tags", "write_annotations"}


def test_the_reference_can_do_the_least(reference_url):
    with Client(reference_url, "token") as client:
        assert client.server.capabilities() == Capabilities()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda server: server.status(URI), "cannot tell how far an upload is"),
        (lambda server: server.unsent(URI), "cannot tell what is missing of an upload"),
        (lambda server: server.cancel(URI), "cannot cancel an upload"),
        (lambda server: server.share(URI), "cannot create links"),
        (lambda server: list(server.shares()), "cannot list links"),
        (lambda server: server.end_share("1"), "cannot end links"),
        (lambda server: server.write_readme(URI, ""), "cannot change a README"),
        (lambda server: server.add_tag(URI, "a"), "cannot change tags"),
        (lambda server: server.write_annotation(URI, "a", 1), "cannot change annotations"),
    ],
)
def test_what_it_cannot_do_is_said_with_a_sentence(asked, call, sentence):
    _, server = asked(answer({"paths": {}}))
    with pytest.raises(NotSupported, match=sentence):
        call(server)


@pytest.mark.parametrize(
    "hidden",
    [Answer(404), Answer(403), Answer(200, b"<html>", headers={"Content-Type": "text/html"})],
)
def test_a_plugin_whose_document_is_hidden_is_known_by_a_route(asked, hidden):
    server, dserver = asked(hidden, Answer(headers={"Allow": "OPTIONS, POST"}))
    assert dserver.capabilities() == Capabilities.of_plugin()
    assert dserver.capabilities() == Capabilities.of_plugin()
    assert [each.method for each in server.requests] == ["GET", "OPTIONS"]
    # Nobody needs to know who asks.
    assert not any("Authorization" in each.headers for each in server.requests)


def test_without_a_document_and_this_route_it_is_taken_for_the_reference(asked):
    _, dserver = asked(Answer(404), Answer(404))
    assert dserver.capabilities() == Capabilities()


def test_fields_that_a_dserver_does_not_know_are_not_sent(asked):
    server, dserver = asked(answer({}), Answer(404, headers=JSON))
    with pytest.raises(Refused):
        dserver.announce("s3://bucket", {"uuid": "u", "name": "n", "multipart": True})
    assert json.loads(server.requests[-1].body) == {"uuid": "u", "name": "n"}


# The routes of an unreleased dservercore.
WRITING = {
    "paths": {
        "/tags/{uri}": {"get": {}, "put": {}},
        "/annotations/{uri}/{annotation_name}": {"put": {}},
        "/readmes/{uri}": {"get": {}, "put": {}},
    }
}


def test_tags_of_a_frozen_dataset_are_written_where_dserver_can(asked):
    server, dserver = asked(answer(WRITING), answer({"tags": ["b"]}))
    dserver.add_tag(URI, "a")
    dserver.delete_tag(URI, "b")
    written = [json.loads(each.body) for each in server.requests if each.method == "PUT"]
    assert written == [{"tags": ["a", "b"]}, {"tags": []}]
    assert server.requests[-1].target == f"/tags/{QUOTED}"


def test_annotations_and_the_readme_are_written_where_dserver_can(asked):
    server, dserver = asked(answer(WRITING), answer({}))
    dserver.write_annotation(URI, "p/q", {"x": 1})
    dserver.write_readme(URI, "---\n")
    assert [(each.target, json.loads(each.body)) for each in server.requests[1:]] == [
        (f"/annotations/{QUOTED}/p%2Fq", {"value": {"x": 1}}),
        (f"/readmes/{QUOTED}", {"readme": "---\n"}),
    ]
