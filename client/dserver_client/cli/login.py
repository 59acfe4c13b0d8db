"""Commands about the user: log in, log out, and show who is logged in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import click

from dserver_client.cli.command import command_options
from dserver_client.cli.session import Session
from dserver_client.client import Client
from dserver_client.display.formats import duration_text, table
from dserver_client.errors import NotLoggedIn, UsageError
from dserver_client.http import HTTP
from dserver_client.settings import Settings
from dserver_client.token_store import TokenStore
from dserver_client.tokens import end_of, generate_token
from dserver_client.values import BaseURI


@click.command()
@click.argument("url", required=False)
@click.option(
    "--token-stdin", is_flag=True, help="Read the token from standard input instead of a prompt."
)
@click.option(
    "--username",
    metavar="NAME",
    help="Get a token for this user; you are prompted for the password.",
)
@click.option(
    "--token-generator",
    metavar="URL",
    help="URL that issues tokens, instead of DSERVER_TOKEN_GENERATOR_URL.",
)
@command_options
def login(
    session: Session,
    *,
    url: str | None,
    token_stdin: bool,
    username: str | None,
    token_generator: str | None,
) -> None:
    """Log in to the dserver at URL.

    Without options, paste your token at the prompt; it is not shown. It is kept in the keyring of
    this machine if the Python package keyring is installed, else in a file that only you may read.
    This dserver becomes the default.
    """
    settings = _settings(session, url)
    if token_stdin:
        token = sys.stdin.readline()
    elif username is None:
        token = _prompted("Token", "use --token-stdin, or set DSERVER_TOKEN")
    else:
        token = _generated(settings, username, token_generator)
    document = _keep(settings, token)
    session.output.result(
        document,
        f"Logged in to {document['server']} as {document['username']}. "
        f"{_ends(document['token_ends'])}\nThe token is kept in {document['kept_in']}.",
    )
    if settings.token is not None:
        session.output.message("DSERVER_TOKEN is set, and is used instead of this token.")


def _keep(settings: Settings, token: str) -> dict[str, Any]:
    """Keep a token that dserver accepts; return what to tell the person."""
    # Loading checks the token, so that no error later holds a part of it.
    tried = replace(Settings.load(url=settings.url, token=token), token_file=None)
    with Client(settings=tried) as client:
        server = client.server
        try:
            user, token = server.whoami(), server.tokens.token()
        except NotLoggedIn as refused:
            raise NotLoggedIn(
                f"{server.url} does not accept this token: is it complete, has it expired, or is "
                "it for another dserver?"
            ) from refused
    return {
        "server": server.url,
        "username": user.username,
        "token_ends": end_of(token),
        "kept_in": TokenStore().put(server.url, token, default=True),
    }


@click.command()
@click.argument("url", required=False)
@command_options
def logout(session: Session, *, url: str | None) -> None:
    """Forget a token.

    By default, that of the default dserver. The token itself is valid until it expires.
    """
    server = _settings(session, url).url
    removed = server is not None and TokenStore().remove(server)
    text = f"Logged out of {server}." if removed else f"No token is kept for {server}."
    session.output.result({"server": server, "removed": removed}, text)


@click.command()
@command_options
def whoami(session: Session) -> None:
    """Show your user name, permissions, and when your token expires."""
    server = session.client().server
    user, base_uris, ends = server.whoami(), server.base_uris(), server.tokens.ends_at()
    document = {
        "server": server.url,
        "username": user.username,
        "is_admin": user.is_admin,
        "base_uris": base_uris,
        "token_ends": ends,
    }
    admin = ", an administrator" if user.is_admin else ""
    permissions = _permissions(base_uris, is_admin=user.is_admin)
    text = f"{user.username}{admin} at {server.url}\n{_ends(ends)}\n{permissions}"
    session.output.result(document, text)


def _settings(session: Session, url: str | None) -> Settings:
    settings = session.settings if url is None else Settings.load(url=url)
    if settings.url is None:
        raise UsageError("Which dserver? Name its address, such as https://dserver.example.org.")
    return settings


def _generated(settings: Settings, username: str, generator: str | None) -> str:
    """Return a token from a token generator, for a password that is set or asked for."""
    generator = generator or settings.token_generator_url
    if generator is None:
        raise UsageError(
            "Where does dserver get tokens? Name its token generator with --token-generator, or "
            "in DSERVER_TOKEN_GENERATOR_URL."
        )
    password = settings.password or _prompted(
        f"Password of {username}", "set DSERVER_PASSWORD instead"
    )
    return generate_token(HTTP(settings), generator, username, password)


def _prompted(what: str, otherwise: str) -> str:
    """Return what a person types, which is not shown."""
    if not sys.stdin.isatty():
        raise UsageError(f"Standard input is not a terminal: {otherwise}.")
    return str(click.prompt(f"{what} (it is not shown)", hide_input=True, err=True))


def _permissions(base_uris: Sequence[BaseURI], *, is_admin: bool) -> str:
    """Return a table of base URIs, and what one may do there."""
    if not base_uris:
        advice = (
            "administrators need permissions on base URIs, too."
            if is_admin
            else "ask an administrator of dserver for permission on a base URI."
        )
        return f"You may not read or deposit anywhere yet: {advice}"
    return table(
        (each.uri, "read" if each.may_search else "", "deposit" if each.may_register else "")
        for each in base_uris
    )


def _ends(ends: datetime | None) -> str:
    if ends is None:
        return "The token does not say when it expires."
    left = (ends - datetime.now(timezone.utc)).total_seconds()
    if left <= 0:
        return f"The token expired at {ends:%Y-%m-%d %H:%M} UTC."
    return f"The token expires in {duration_text(left)}, at {ends:%Y-%m-%d %H:%M} UTC."
