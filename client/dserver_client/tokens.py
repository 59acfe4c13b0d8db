"""Tokens for dserver: where they come from, when they expire, and how they are renewed."""

from __future__ import annotations

import base64
import json
import math
import time
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from dserver_client.connections import origin
from dserver_client.errors import NotLoggedIn, Unavailable, UsageError
from dserver_client.http import HTTP
from dserver_client.private_files import read_private
from dserver_client.process_lock import ProcessLock
from dserver_client.server_urls import is_this_machine
from dserver_client.settings import Settings, checked_token
from dserver_client.token_store import TokenStore

# Seconds before its end from which a token is renewed.
_MARGIN = 30

# The host that gets the tokens of settings that do not say which dserver they are for, by what
# these settings have. dtool-dserver's users set DSERVER_TOKEN alone, and name a host in a URI.
_first_hosts: dict[tuple[object, ...], str] = {}


def end_of(token: str) -> datetime | None:
    """Return when a JWT ends (UTC), by its claim ``exp``; None if it does not say.

    Nothing is verified: that is for dserver.
    """
    try:
        return datetime.fromtimestamp(_claims(token)["exp"], timezone.utc)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def generate_token(http: HTTP, generator_url: str, username: str, password: str) -> str:
    """Return a token from a token generator, for a user name and a password.

    Token generators take a POST of ``{"username", "password"}`` and answer with ``{"token"}``.

    :raises NotLoggedIn: if the generator refuses them.
    :raises Unavailable: if there is no answer, or none with a token.
    """
    body = json.dumps({"username": username, "password": password}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    response = http.request("POST", generator_url, headers=headers, body=body)
    if response.status in (400, 401, 403):
        raise NotLoggedIn(f"The token generator {generator_url} refuses this user and password.")
    try:
        answer: Any = json.loads(response.data)
        token = answer["token"] if isinstance(answer, dict) else answer
        if response.status < 300 and isinstance(token, str):
            return checked_token(token, "The token")
    except (ValueError, KeyError, RecursionError, UsageError):
        pass
    raise Unavailable(
        f"The token generator {generator_url} answers {response.status} without a token."
    )


class TokenSource:
    """The token for one dserver. Threads may share one.

    A token of the settings comes first, then the file that they name, then the one that was kept
    by a login. If the settings have a token generator, with user name and password, a token from
    there takes the place of one that has ended or that dserver has refused.

    What the settings have is for the dserver of ``Settings.token_url`` only. If that is None, it is
    for the first host that this process sends it to.
    """

    def __init__(
        self, settings: Settings, server_url: str, http: HTTP, store: TokenStore | None = None
    ) -> None:
        self._settings, self._url, self._http = settings, server_url, http
        self._store = store or TokenStore()
        self._lock = ProcessLock()
        self._token: str | None = None
        self._ends_at = 0.0  # seconds since 1970

    def token(self) -> str:
        """Return a token that has not ended, as far as can be known.

        :raises NotLoggedIn: if there is none.
        """
        token = self._token
        if token is not None and time.time() < self._ends_at:
            return token
        with self._lock:
            if self._token is None or time.time() >= self._ends_at:
                self._use_kept_or_generated(None)
            return self._current()

    def renew(self, refused: str) -> str:
        """Return another token than one that dserver has refused.

        :raises NotLoggedIn: if there is no other.
        """
        with self._lock:
            if self._token == refused:
                self._use_kept_or_generated(refused)
            return self._current()

    def ends_at(self) -> datetime | None:
        """Return when the token ends (UTC), or None if it does not say.

        :raises NotLoggedIn: if there is none.
        """
        return end_of(self.token())

    def _use(self, token: str, ends_at: float = math.inf) -> None:
        self._token, self._ends_at = token, ends_at

    def _use_kept_or_generated(self, refused: str | None) -> None:
        kept = self._kept()
        if kept is not None and kept != refused:
            # Where no other is to be had it is good until dserver says otherwise: the clock of
            # this machine may be wrong.
            end = end_of(kept) if self._can_generate() else None
            self._use(kept, math.inf if end is None else end.timestamp() - _MARGIN)
        else:
            token = self._generated(refused)
            self._use(token, time.time() + _lifetime(token) - _MARGIN)

    def _current(self) -> str:
        assert self._token is not None  # noqa: S101 - set by _use
        return self._token

    def _kept(self) -> str | None:
        """Return the first of the tokens that are kept that is good for a while, else any."""
        tokens = [checked_token(token, name) for name, token in self._candidates() if token]
        margin = _MARGIN if self._can_generate() else 0
        soon = datetime.now(timezone.utc) + timedelta(seconds=margin)
        valid = [token for token in tokens if (end := end_of(token)) is None or end > soon]
        if valid:
            return valid[0]
        return tokens[0] if tokens and not self._can_generate() else None

    def _candidates(self) -> list[tuple[str, str | None]]:
        """Return what each token is, and the token."""
        kept = ("The token of the login", self._store.get(self._url))
        if not self._is_for_this_server():
            return [kept]
        path = self._settings.token_file
        return [
            ("The token", self._settings.token),
            (f"The token in {path}", self._from_file()),
            kept,
        ]

    def _from_file(self) -> str | None:
        path = self._settings.token_file
        content = None if path is None else read_private(path)
        return None if content is None else content.decode("ascii", "replace")

    def _is_for_this_server(self) -> bool:
        """Return whether this dserver may have what the settings have."""
        settings = self._settings
        if settings.token_url == self._url:
            return True
        is_free = settings.token_url is None
        if is_free or settings.token_is_local:
            host = urlsplit(self._url).hostname or ""
            return is_this_machine(host) or (is_free and self._first_host() == origin(self._url))
        return False

    def _first_host(self) -> str | None:
        """Return the host that has what the settings have, from now on; None if that is nothing."""
        settings = self._settings
        if not self._has_credentials():
            return None
        given = (settings.token, settings.token_file, settings.token_generator_url)
        return _first_hosts.setdefault((*given, settings.username), origin(self._url))

    def _has_credentials(self) -> bool:
        return bool(self._settings.token or self._settings.token_file or self._has_generator())

    def _has_generator(self) -> bool:
        settings = self._settings
        return all((settings.token_generator_url, settings.username, settings.password))

    def _can_generate(self) -> bool:
        return self._has_generator() and self._is_for_this_server()

    def _generated(self, refused: str | None) -> str:
        settings = self._settings
        if not self._can_generate():
            raise self._not_logged_in(refused)
        return generate_token(
            self._http,
            settings.token_generator_url or "",
            settings.username or "",
            settings.password or "",
        )

    def _not_logged_in(self, refused: str | None) -> NotLoggedIn:
        """Return why there is no token, or no other than one that was refused."""
        url = self._url
        if refused is None and self._has_credentials() and not self._is_for_this_server():
            other = self._settings.token_url or self._first_host()
            return NotLoggedIn(
                f"The token of the settings is for {other} and is not sent to {url}: set "
                f"DSERVER_URL to {url} if it is for that one, or use `dserver login`."
            )
        if refused is None:
            sentence = f"There is no token for {url}: use `dserver login`, or set DSERVER_TOKEN."
            return NotLoggedIn(sentence)
        end = end_of(refused)
        if end is not None and end <= datetime.now(timezone.utc):
            ended = f"{end:%Y-%m-%d %H:%M} UTC"
            return NotLoggedIn(f"The token for {url} expired at {ended}: log in again.")
        return NotLoggedIn(
            f"{url} does not accept the token, or does not know its user: log in again."
        )


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT (RFC 7519, section 3), or none of what is no JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _lifetime(token: str) -> float:
    """Return for how many seconds a token is good that was made just now.

    It is the difference of two times of the same clock, which is not this machine's.
    """
    claims = _claims(token)
    try:
        return max(float(claims["exp"]) - float(claims["iat"]), 2 * _MARGIN)
    except (KeyError, TypeError, ValueError, OverflowError):
        return math.inf
