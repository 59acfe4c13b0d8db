"""What an answer of dserver that is an error, or none of dserver, becomes."""

from __future__ import annotations

import json

import pytest
from dserver_client.client import Client
from dserver_client.errors import ClientError, NotLoggedIn, Refused, Unavailable
from dserver_client.settings import Settings

from tests.support.answering_server import Answer, Answering

SECRET = "a-token"
JSON = {"Content-Type": "application/json"}


def envelope(http_status, **content):
    return Answer(
        http_status, json.dumps(content).encode(), headers={**JSON, "X-Request-ID": "r-1"}
    )


@pytest.fixture
def refused():
    """Ask a dserver that gives this answer; return the error."""

    def ask(answer):
        with Answering([answer]) as server, Client(server.endpoint, SECRET) as client:
            client.server.http.close()  # nothing is waited for
            with pytest.raises(ClientError) as raised:
                client.server.whoami()
        assert SECRET not in str(raised.value)
        return raised.value

    return ask


def test_the_envelope_of_this_plugin_is_kept(refused):
    errors = {"slug": "upload-incomplete", "missing": ["a.txt"]}
    error = refused(envelope(400, code=400, status="Bad Request", message="No.", errors=errors))
    assert isinstance(error, Refused)
    assert (str(error), error.status, error.slug) == ("No.", 400, "upload-incomplete")
    assert (error.facts, error.request_id) == ({"missing": ["a.txt"]}, "r-1")


@pytest.mark.parametrize(
    ("status", "exit_code"), [(400, 1), (403, 4), (404, 5), (409, 6), (410, 5), (422, 2), (501, 1)]
)
def test_without_a_message_and_a_slug_there_is_a_sentence(refused, status, exit_code):
    error = refused(envelope(status, code=status, status="Reason"))
    assert (error.status, error.slug, error.exit_code) == (status, f"http-{status}", exit_code)
    assert str(error).endswith(".")


def test_the_fields_that_dserver_does_not_understand_are_named(refused):
    errors = {"json": {"multipart": ["Unknown field."]}}
    error = refused(envelope(422, code=422, status="Unprocessable Entity", errors=errors))
    assert "multipart" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        envelope(401, msg="Token has expired"),
        envelope(401, code=401, status="Unauthorized"),
        envelope(422, msg="Not enough segments"),
    ],
)
def test_a_token_that_is_not_accepted_is_no_login(refused, answer):
    error = refused(answer)
    assert isinstance(error, NotLoggedIn)
    assert "log in again" in str(error)


def test_dserver_says_itself_that_it_is_busy_for_hours(refused):
    answer = envelope(503, message="Busy.", errors={"slug": "database-busy"})
    error = refused(Answer(503, answer.content, headers={**JSON, "Retry-After": "3600"}))
    assert isinstance(error, Unavailable)
    assert (str(error), error.slug) == ("Busy. Try again in 3600 s.", "database-busy")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
        Answer(200, b"{", headers=JSON),
        Answer(200, b"[]", headers=JSON),
        Answer(200, b'{"username": 1}', headers=JSON),
        Answer(200, b""),
    ],
    ids=["html", "cut off", "list", "fields missing", "empty"],
)
def test_what_no_dserver_says_is_an_error(refused, answer):
    error = refused(answer)
    assert isinstance(error, Unavailable)
    assert "answers with something that no dserver says" in str(error)


def test_a_redirect_is_not_followed_but_named(refused):
    error = refused(Answer(302, headers={"Location": "https://login.org/start?state=secret"}))
    assert isinstance(error, Unavailable)
    assert "redirect to https://login.org/start:" in str(error)
    assert "secret" not in str(error)


def test_html_of_a_proxy_does_not_fill_the_screen(refused):
    error = refused(Answer(403, 9_000 * b"<html>", headers={"Content-Type": "text/html"}))
    assert "You have no permission for this base URI" in str(error)
    assert len(str(error)) < 100


def test_a_token_that_has_ended_is_renewed_and_the_request_sent_again():
    new = Answer(content=b'{"token": "new"}', headers=JSON)
    who = {"username": "alice", "is_admin": False}
    permissions = {
        "search_permissions_on_base_uris": ["s3://b", "s3://a"],
        "register_permissions_on_base_uris": ["s3://b"],
    }
    answers = [envelope(401, msg="Token has expired"), envelope(200, **who, **permissions)]
    with Answering(answers) as server, Answering([new]) as generator:
        settings = Settings(
            token=SECRET,
            token_generator_url=generator.endpoint,
            username="alice",
            password="password",
        )
        with Client(server.endpoint, settings=settings) as client:
            bases = client.server.base_uris()
    assert [(base.uri, base.may_search, base.may_register) for base in bases] == [
        ("s3://a", True, False),
        ("s3://b", True, True),
    ]
    sent = [each.headers["Authorization"] for each in server.requests]
    assert sent == [f"Bearer {SECRET}", "Bearer new"]
