"""Which token is sent, when another is got, and what is said if there is none."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone

import jwt
import pytest
from dserver_client.errors import NotLoggedIn, Unavailable, UsageError
from dserver_client.http import HTTP
from dserver_client.settings import Settings
from dserver_client.token_store import TokenStore
from dserver_client.tokens import TokenSource, end_of, generate_token

from tests.support.answering_server import Answer, Answering

LAB = "https://lab.org"
NOW = int(time.time())


def token(ends_in=86_400, made=NOW, name="alice"):
    return jwt.encode({"sub": name, "iat": made, "exp": made + ends_in}, 32 * "k")


def given(*tokens):
    return [Answer(content=json.dumps({"token": each}).encode()) for each in tokens]


@pytest.fixture
def source():
    """Make the source of tokens of some settings."""
    http = HTTP()
    yield lambda **settings: TokenSource(Settings(**settings), LAB, http)
    http.close()


@pytest.fixture
def generator():
    """Run a token generator that gives these answers; its settings are yielded."""
    running = []

    def start(*answers):
        running.append(Answering(list(answers)).__enter__())
        login = {"username": "alice", "password": "secret"}
        return running[-1], {"token_generator_url": f"{running[-1].endpoint}/token", **login}

    yield start
    for server in running:
        server.__exit__()


def test_a_token_says_when_it_ends():
    assert end_of(token(900)) == datetime.fromtimestamp(NOW + 900, timezone.utc)


@pytest.mark.parametrize("text", ["abc", "a.b.c", "a.e30.c", "a.WzFd.c", "a.eyJleHAiOiAiYSJ9.c"])
def test_what_does_not_say_when_it_ends_is_good_until_it_is_refused(source, text):
    assert source(token=text).token() == text
    assert source(token=text).ends_at() is None


def test_the_settings_come_before_the_file_and_that_before_the_login(source, tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{token(name='file')}\n")
    TokenStore().put(LAB, token(name="login"))
    assert source(token="settings", token_file=path).token() == "settings"
    assert source(token_file=path).token() == token(name="file")
    assert source(token_file=tmp_path / "missing").token() == token(name="login")


@pytest.mark.parametrize("content", ["", "a\nb", "a b", "ü"])
def test_a_file_that_holds_no_token_is_named_but_not_shown(source, tmp_path, content):
    path = tmp_path / "token"
    path.write_text(f"{content}secret\nsecret" if content else " ")
    with pytest.raises((UsageError, NotLoggedIn)) as raised:
        source(token_file=path).token()
    assert "secret" not in str(raised.value)


def test_one_that_has_ended_is_passed_over(source):
    TokenStore().put(LAB, token(name="login"))
    assert source(token=token(ends_in=900, made=NOW - 1000)).token() == token(name="login")


def test_a_token_of_the_settings_goes_to_their_dserver_alone(source):
    with pytest.raises(NotLoggedIn):
        source(token=token(), token_url="https://other.org").token()
    assert source(token=token(), token_url=LAB).token() == token()


def sources(environ, *urls):
    http = HTTP()
    return [TokenSource(Settings.load(environ), url, http) for url in urls]


def given_in(kind, tmp_path, generator):
    """Return an environment with a token of its own."""
    if kind == "DSERVER_TOKEN":
        return {kind: token(name=str(tmp_path))}
    if kind == "DSERVER_TOKEN_FILE":
        (tmp_path / "token").write_text(token(name=str(tmp_path)))
        return {kind: str(tmp_path / "token")}
    _, login = generator(*given(token(name=str(tmp_path))))
    return {
        "DSERVER_TOKEN_GENERATOR_URL": login["token_generator_url"],
        "DSERVER_USERNAME": "alice",
        "DSERVER_PASSWORD": "secret",
    }


KINDS = pytest.mark.parametrize("kind", ["DSERVER_TOKEN", "DSERVER_TOKEN_FILE", "generator"])


@KINDS
def test_without_dserver_url_a_token_goes_to_the_first_host_and_to_no_second(
    kind, tmp_path, generator
):
    environ = given_in(kind, tmp_path, generator)
    first, again, second, local = sources(
        environ, LAB, f"{LAB}/lookup", "https://other.org", "http://localhost:5000"
    )
    assert first.token() == again.token() == token(name=str(tmp_path))
    with pytest.raises(NotLoggedIn, match=r"for https://lab\.org .*DSERVER_URL to https://other"):
        second.token()
    assert local.token() == first.token()


@KINDS
def test_without_dserver_url_a_token_goes_to_the_dserver_of_the_login(kind, tmp_path, generator):
    TokenStore().put(LAB, token(name="login"), default=True)
    environ = given_in(kind, tmp_path, generator)
    other, lab, local = sources(environ, "https://other.org", LAB, "http://127.0.0.1:5000")
    with pytest.raises(NotLoggedIn, match="for https://lab.org .*DSERVER_URL"):
        other.token()
    assert lab.token() in (token(name=str(tmp_path)), token(name="login"))
    assert local.token() == token(name=str(tmp_path))


@KINDS
def test_with_dserver_url_a_token_goes_there_alone(kind, tmp_path, generator):
    environ = {**given_in(kind, tmp_path, generator), "DSERVER_URL": "https://lab.org"}
    local, other, lab = sources(environ, "http://localhost:5000", "https://other.org", LAB)
    for each in (local, other):
        with pytest.raises(NotLoggedIn, match="for https://lab.org .*DSERVER_URL"):
            each.token()
    assert lab.token() == token(name=str(tmp_path))


def test_a_login_counts_where_the_token_of_the_settings_must_not_go():
    TokenStore().put("https://other.org", token(name="login"))
    environ = {"DSERVER_URL": LAB, "DSERVER_TOKEN": token()}
    [other] = sources(environ, "https://other.org")
    assert other.token() == token(name="login")


def test_without_a_token_it_is_said_how_to_get_one(source):
    with pytest.raises(NotLoggedIn, match="https://lab.org: use `dserver login`"):
        source().token()


def test_user_and_password_get_a_token_that_is_kept(source, generator):
    server, login = generator(*given(token()))
    tokens = source(**login)
    assert [tokens.token(), tokens.token()] == [token(), token()]
    [asked] = server.requests
    assert (asked.method, asked.target) == ("POST", "/token")
    assert json.loads(asked.body) == {"username": "alice", "password": "secret"}


def test_one_that_ends_soon_is_renewed(source, generator):
    _, login = generator(*given(token(name="new")))
    assert source(token=token(ends_in=20), **login).token() == token(name="new")


def test_a_clock_that_is_wrong_does_not_ask_for_a_token_each_time(source, generator):
    old = token(made=NOW - 100_000)
    server, login = generator(*given(old))
    tokens = source(**login)
    assert [tokens.token(), tokens.token(), len(server.requests)] == [old, old, 1]


def test_one_that_was_refused_is_renewed_once(source, generator):
    server, login = generator(*given(token(name="one"), token(name="two")))
    tokens = source(**login)
    refused = tokens.token()
    assert tokens.renew(refused) == token(name="two")
    # By another thread, whose request was sent before.
    assert tokens.renew(refused) == token(name="two")
    assert len(server.requests) == 2


def test_a_login_in_the_meantime_is_found(source):
    TokenStore().put(LAB, token(name="before"))
    tokens = source()
    refused = tokens.token()
    TokenStore().put(LAB, token(name="after"))
    assert tokens.renew(refused) == token(name="after")


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        (token(made=NOW - 100_000), "The token for https://lab.org expired at 20.* UTC: log in"),
        (token(), "https://lab.org does not accept the token"),
    ],
)
def test_if_there_is_no_other_it_is_said_why(source, refused, sentence):
    tokens = source(token=refused)
    assert tokens.token() == refused
    with pytest.raises(NotLoggedIn, match=sentence) as raised:
        tokens.renew(refused)
    assert refused not in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_password_that_is_refused_is_no_login(generator, status):
    _, login = generator(Answer(status, b'{"msg": "no"}'))
    with pytest.raises(NotLoggedIn, match="refuses this user and password") as raised:
        generate_token(HTTP(), login["token_generator_url"], "alice", "secret")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"{}", b'{"token": 1}', b'{"token": "\xc3\xbc"}', b'{"token": ""}']
)
def test_a_generator_that_gives_no_token_is_unavailable(generator, content):
    _, login = generator(Answer(content=content))
    with pytest.raises(Unavailable, match="answers 200 without a token"):
        generate_token(HTTP(), login["token_generator_url"], "alice", "secret")
