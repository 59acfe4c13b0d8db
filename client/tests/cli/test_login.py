"""Logging in and out, and who one is."""

from __future__ import annotations

import json
import stat

import pytest
from dserver_client.token_store import TokenStore

from tests.support.http_server import serving


@pytest.fixture
def generator(lab):
    """The address of a token generator that knows alice's password."""

    def answer(environ, start_response):
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if body != {"username": "alice", "password": "cress"}:
            start_response("401 Unauthorized", [("Content-Type", "application/json")])
            return [b"{}"]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"token": lab.tokens["alice"]}).encode()]

    with serving(answer) as url:
        yield f"{url}/token"


def test_a_token_is_taken_from_standard_input_and_kept_for_its_owner_only(run, dserver_url, lab):
    token = lab.tokens["alice"]
    done = run(
        "login",
        dserver_url,
        "--token-stdin",
        person=None,
        input=f"Bearer {token}\n",
        env={"DSERVER_URL": ""},
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"Logged in to {dserver_url} as alice. The token expires in ")
    assert token not in done.output
    path = TokenStore().path
    assert f"The token is kept in {path}.\n" in done.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("whoami", person=None, env={"DSERVER_URL": ""}).exit_code == 0


def test_a_token_that_dserver_refuses_is_not_kept(run, dserver_url):
    done = run("login", dserver_url, "--token-stdin", person=None, input="eyJ.nonsense.x\n")
    assert done.exit_code == 3
    assert "does not accept this token" in done.stderr
    assert TokenStore().get(dserver_url) is None


def test_without_a_terminal_nothing_is_asked(run, dserver_url):
    done = run("login", dserver_url, person=None, input="")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: Standard input is not a terminal: use --token-stdin, or set DSERVER_TOKEN.\n"
    )


@pytest.mark.parametrize("typed", ["", "\n", "two words\n", "größe\n"])
def test_what_is_no_token_is_refused(run, dserver_url, typed):
    done = run("login", dserver_url, "--token-stdin", person=None, input=typed)
    assert done.exit_code in (2, 3)
    assert done.stderr.startswith("Error: ")


def test_a_password_gets_a_token_from_a_token_generator(run, dserver_url, generator, document):
    found = document(
        "login",
        "--username",
        "alice",
        "--token-generator",
        generator,
        person=None,
        env={"DSERVER_PASSWORD": "cress"},
    )
    assert (found["server"], found["username"]) == (dserver_url, "alice")
    assert found["token_ends"]


def test_a_wrong_password_is_told(run, generator):
    done = run(
        "login",
        "--username",
        "alice",
        person=None,
        env={"DSERVER_PASSWORD": "no", "DSERVER_TOKEN_GENERATOR_URL": generator},
    )
    assert done.exit_code == 3
    assert "refuses this user and password" in done.stderr


def test_a_password_needs_a_token_generator(run):
    done = run("login", "--username", "alice", person=None)
    assert done.exit_code == 2
    assert "--token-generator" in done.stderr


def test_a_token_in_the_environment_is_no_secret_rival(run, lab, dserver_url):
    done = run("login", "--token-stdin", person="bob", input=lab.tokens["alice"])
    assert done.exit_code == 0
    assert "DSERVER_TOKEN is set" in done.stderr


def test_after_logging_out_one_is_nobody(run, dserver_url, lab):
    run("login", "--token-stdin", person=None, input=lab.tokens["alice"])
    assert run("logout", person=None).stdout == f"Logged out of {dserver_url}.\n"
    assert run("logout", person=None).stdout == f"No token is kept for {dserver_url}.\n"
    done = run("whoami", person=None)
    assert done.exit_code == 3
    assert "dserver login" in done.stderr


def test_whoami_shows_permissions_and_the_end_of_the_token(run, document, lab):
    found = document("whoami", person="bob")
    assert (found["username"], found["is_admin"]) == ("bob", False)
    assert found["base_uris"] == [{"uri": lab.base_uri, "may_search": True, "may_register": False}]
    shown = run("whoami").stdout
    assert f"{lab.base_uri}  read  deposit\n" in shown
    assert "The token expires in 59 min" in shown or "The token expires in 1 h" in shown


def test_who_may_do_nothing_is_told_so(run):
    assert "You may not read or deposit anywhere yet" in run("whoami", person="dave").stdout


def test_a_server_that_is_not_known_has_to_be_named(run):
    done = run("whoami", person=None, env={"DSERVER_URL": ""})
    assert done.exit_code == 2
    assert "dserver login URL" in done.stderr
