"""Settings from the environment or ``dtool.json``, compatible with dtool-lookup-api.

========================================  ==========================================================
``DSERVER_URL``                           the address of dserver
``DSERVER_TOKEN``                         a token for this dserver only
``DSERVER_TOKEN_FILE``                    a file with the token, read whenever one is needed
``DSERVER_USERNAME``,                     the user to issue tokens for; they are then renewed
``DSERVER_PASSWORD``                      automatically
``DSERVER_TOKEN_GENERATOR_URL``           the URL that issues them
``DSERVER_VERIFY_SSL``                    ``false`` accepts any certificate from dserver and the
                                          store; a path names a file of certificates to trust
``DSERVER_PROTOCOL``                      ``http`` or ``https``, for addresses without either
``DSERVER_DEFAULT_BASE_URI``,             the base URI if none is given, for all dservers or for
``DSERVER_DEFAULT_BASE_URI_<server>``     one (``.`` and ``:`` of ``host:port`` become ``_``)
``DSERVER_CACHE_DIR``                     where the storage broker caches fetched items
``REQUESTS_CA_BUNDLE``,                   certificates to trust instead of the system's
``CURL_CA_BUNDLE``, ``SSL_CERT_FILE``
========================================  ==========================================================

``DSERVER_TOKEN_FILE``, ``DSERVER_PROTOCOL``, ``DSERVER_DEFAULT_BASE_URI`` and ``DSERVER_CACHE_DIR``
come from dtool-dserver.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dserver_client.errors import UsageError, reason_of
from dserver_client.server_urls import server_url, without_scheme
from dserver_client.token_store import TokenStore

_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_DEFAULT_BASE_URI = "DSERVER_DEFAULT_BASE_URI"
_YES = frozenset({"true", "1", "y", "yes", "on"})
_NO = frozenset({"false", "0", "n", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """The settings of a user; ``load`` reads them.

    ``url`` is the dserver that is meant where none is named, or None. ``token_url`` is the dserver
    that ``token``, ``token_file``, ``username`` and ``password`` are for; None if for the first
    host that this process sends a token to and for this machine. ``token_is_local`` is whether
    dservers on this machine get it in any case. ``servers`` are all dservers that are known, with
    their prefixes.
    """

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_generator_url: str | None = None
    token_url: str | None = None
    token_is_local: bool = False
    servers: tuple[str, ...] = ()
    verify_ssl: bool = True
    ca_bundle: Path | None = None
    protocol: str | None = None
    default_base_uris: Mapping[str, str] = field(default_factory=dict)
    cache_directory: Path | None = None

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
    ) -> Settings:
        """Return the settings: arguments before the environment, that before ``dtool.json``.

        Without ``DSERVER_URL`` the dserver that was logged in to last is the default, and the one
        that tokens of the environment are for.

        :param environ: the environment; by default that of this process.
        :raises UsageError: if a setting cannot be used; the message names it.
        :raises LocalFileError: if ``dtool.json`` or the file of tokens cannot be read.
        """
        source = _Source(os.environ if environ is None else environ)
        protocol = source.choice("DSERVER_PROTOCOL", ("http", "https"))
        configured = source.address("DSERVER_URL", protocol)
        chosen = configured if url is None else server_url(url, protocol=protocol)
        store = TokenStore()
        known = store.servers()
        verify, bundle = source.verification()
        at_home = configured or store.default
        is_elsewhere = bool(token) and chosen not in (None, at_home)
        return cls(
            url=chosen or store.default,
            token=checked_token(token, "The token") if token else source.token(),
            # A token that is given for another dserver takes none of these with it.
            token_file=None if is_elsewhere else source.file("DSERVER_TOKEN_FILE"),
            username=None if is_elsewhere else source.text("DSERVER_USERNAME"),
            password=None if is_elsewhere else source.text("DSERVER_PASSWORD"),
            token_generator_url=source.address("DSERVER_TOKEN_GENERATOR_URL"),
            token_url=chosen if is_elsewhere else at_home,
            token_is_local=not token and configured is None,
            servers=tuple(dict.fromkeys(each for each in (chosen, configured, *known) if each)),
            verify_ssl=verify,
            ca_bundle=bundle,
            protocol=protocol,
            default_base_uris=source.starting_with(_DEFAULT_BASE_URI),
            cache_directory=source.path("DSERVER_CACHE_DIR"),
        )

    def default_base_uri(self, server: str) -> str | None:
        """Return the base URI that is meant at a dserver where none is named, or None."""
        host = without_scheme(server).partition("/")[0]
        own = f"{_DEFAULT_BASE_URI}_{host.replace(':', '_').replace('.', '_')}"
        found = self.default_base_uris.get(own) or self.default_base_uris.get(_DEFAULT_BASE_URI)
        return found.rstrip("/") if found else None


def checked_token(text: str, name: str) -> str:
    """Return a token without the word Bearer before it.

    :param name: what it is, to begin the error with.
    :raises UsageError: if it cannot be sent in a header. The message does not show it.
    """
    token = text.strip().removeprefix("Bearer ").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{name} is empty, or holds characters that no token has.")
    return token


class _Source:
    """The environment, and behind it ``dtool.json``; empty values count as none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._file = _read_dtool_json(Path.home() / ".config" / "dtool" / "dtool.json")

    def text(self, name: str) -> str | None:
        value = self._environ.get(name) or self._file.get(name)
        if value is None or value == "":
            return None
        return str(value).strip()

    def starting_with(self, prefix: str) -> dict[str, str]:
        names = {name for name in (*self._environ, *self._file) if name.startswith(prefix)}
        return {name: value for name in names if (value := self.text(name))}

    def path(self, name: str) -> Path | None:
        value = self.text(name)
        return None if value is None else Path(value).expanduser()

    def file(self, name: str) -> Path | None:
        path = self.path(name)
        if path is not None and not path.exists():
            raise UsageError(f"{name} is '{path}', and there is no such file.")
        return path

    def address(self, name: str, protocol: str | None = None) -> str | None:
        value = self.text(name)
        return None if value is None else server_url(value, name, protocol)

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value.lower() not in choices:
            raise UsageError(f"{name} is {value!r}: it must be {' or '.join(choices)}.")
        return None if value is None else value.lower()

    def token(self) -> str | None:
        value = self.text("DSERVER_TOKEN")
        return None if value is None else checked_token(value, "DSERVER_TOKEN")

    def verification(self) -> tuple[bool, Path | None]:
        """Return whether to verify certificates, and the file of those to trust."""
        value = self.text("DSERVER_VERIFY_SSL")
        if value is None or value.lower() in _YES:
            return True, next((path for name in _CA_BUNDLES if (path := self.file(name))), None)
        if value.lower() in _NO:
            return False, None
        return True, self.file("DSERVER_VERIFY_SSL")


def _read_dtool_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {reason_of(error)}.") from error
    except ValueError:
        # Not chained: the message may hold a secret.
        raise UsageError(f"{path} is no valid JSON.") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold a JSON object.")
    return content
