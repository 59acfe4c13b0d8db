"""Connections to hosts, kept between requests: through proxies, with certificates to trust.

Proxies are those of the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``)
or, on macOS and Windows, of the system.
"""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.response import BaseHTTPResponse

from dserver_client.errors import UsageError
from dserver_client.settings import Settings

BLOCK = 1 << 18  # bytes that are sent at a time

_SEND_TIMEOUT = 60.0  # seconds for a block, or for a body that is smaller

# The target of a request, named as in HTTP/2, which our connections take out of the headers. Others
# would not send it: http.client raises ValueError for names that begin with a colon.
_TARGET = ":path"
_ORIGIN = re.compile(r"[^:/?#]*://[^/?#]*")
_is_encoded = re.compile(r'/[!"$-~]*').fullmatch


class _Connection:
    """What both kinds of connection have of their own."""

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request; connecting may take less time than sending."""
        connection: Any = self
        if connection.sock is None:
            connection.connect()
        connection.timeout = _SEND_TIMEOUT
        method, url = args
        target = options["headers"].pop(_TARGET, url)
        super().request(method, target, **options)  # type: ignore[misc]


class _HTTPConnection(_Connection, HTTPConnection):
    """A connection without TLS."""


class _HTTPSConnection(_Connection, HTTPSConnection):
    """A connection with TLS."""

    def connect(self) -> None:
        super().connect()
        # urllib3 warns of each connection that is not verified. Here somebody has asked for it.
        self.is_verified = True


class _HTTPPool(HTTPConnectionPool):
    """Connections without TLS to a host."""

    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    """Connections with TLS to a host."""

    ConnectionCls = _HTTPSConnection


class Connections:
    """The connections of a client, by host.

    A forked process makes its own: answers on a connection that two share would be mixed up.

    :param number: how many are kept for each host.
    """

    def __init__(self, settings: Settings, number: int) -> None:
        self._settings, self._number = settings, number
        # All by process. What a parent had is left alone: its threads may have held locks.
        self._contexts: dict[int, ssl.SSLContext] = {}
        # By origin: the connections there, and whether requests name the whole URL.
        self._hosts: dict[tuple[int, str], tuple[HTTPConnectionPool, bool]] = {}
        self._managers: dict[tuple[int, str | None, str], urllib3.PoolManager] = {}

    def urlopen(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: Any,
        timeout: urllib3.Timeout,
    ) -> BaseHTTPResponse:
        """Send one request, and return its answer before its body; redirects are not followed.

        :raises urllib3.exceptions.HTTPError: if there is no answer, or the URL is none.
        :raises UsageError: if the proxy or the certificates of the settings cannot be used.
        """
        pool, target = self._pool(url)
        if _is_encoded(target):
            # Its query past urllib3, which would encode it again byte by byte, and take 0.1 ms.
            headers, target = {**headers, _TARGET: target}, target.partition("?")[0]
        # By the pool and not by its manager, which takes 0.1 ms more for each request.
        return pool.urlopen(
            method,
            target,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
        )

    def proxy_name(self, url: str) -> str:
        """Return how messages name the proxy for a URL."""
        proxy = _proxy_of(origin(url))
        return "a proxy" if proxy is None else f"the proxy {urlsplit(proxy).hostname}"

    def close(self) -> None:
        """Close all of this process that are not in use."""
        for (process, *_), manager in list(self._managers.items()):
            if process == os.getpid():
                manager.clear()

    def _pool(self, url: str) -> tuple[HTTPConnectionPool, str]:
        """Return the connections for a URL, and the target of the request."""
        host = origin(url)
        key = (os.getpid(), host)
        found = self._hosts.get(key)
        if found is None:
            # Two threads may make the same: the manager below keeps one.
            try:
                found = self._hosts[key] = self._connect(host)
            except ValueError:
                # Not chained: the message may hold a signature.
                raise LocationParseError(host) from None
        pool, is_whole = found
        if is_whole:
            return pool, url
        target = url[len(host) :]
        return pool, target if target.startswith("/") else f"/{target}"

    def _connect(self, host: str) -> tuple[HTTPConnectionPool, bool]:
        proxy, parts = _proxy_of(host), urlsplit(host)
        key = (os.getpid(), proxy, parts.scheme)
        manager = self._managers.get(key)
        if manager is None:
            manager = self._managers.setdefault(key, self._manager(proxy, parts.scheme))
        pool = manager.connection_from_host(parts.hostname, parts.port, parts.scheme)
        return pool, proxy is not None and parts.scheme == "http"

    def _manager(self, proxy: str | None, scheme: str) -> urllib3.PoolManager:
        options: dict[str, Any] = {"num_pools": 64, "maxsize": self._number, "blocksize": BLOCK}
        if "https" in (scheme, proxy and urlsplit(proxy).scheme):
            # Loading the system's certificates takes long.
            options["ssl_context"] = self._ssl_context()
        if proxy is None:
            manager = urllib3.PoolManager(**options)
        else:
            manager = _proxy_manager(proxy, options)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager

    def _ssl_context(self) -> ssl.SSLContext:
        process = os.getpid()
        if process not in self._contexts:
            context = _ssl_context(self._settings.ca_bundle, self._settings.verify_ssl)
            self._contexts[process] = context
        return self._contexts[process]


def origin(url: str) -> str:
    """Return the scheme, host and port of a URL."""
    found = _ORIGIN.match(url)
    return "" if found is None else found[0]


def _ssl_context(bundle: Path | None, verify: bool) -> ssl.SSLContext:  # noqa: FBT001
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif bundle is not None:
        try:
            is_directory = bundle.is_dir()
            context = ssl.create_default_context(
                cafile=None if is_directory else str(bundle),
                capath=str(bundle) if is_directory else None,
            )
        except OSError as error:
            reason = error.strerror or "it holds no certificate"
            raise UsageError(f"The certificates in {bundle} cannot be used: {reason}.") from None
    return context


def _proxy_of(host: str) -> str | None:
    """Return the address of the proxy for an origin, or None."""
    parts = urlsplit(host)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    try:
        parts = urlsplit(proxy)
        return urllib3.ProxyManager(
            proxy, proxy_headers=_proxy_headers(parts.username, parts.password), **options
        )
    except (ValueError, urllib3.exceptions.HTTPError):
        # Not chained: the message may hold the password of the proxy.
        raise UsageError(
            "The variable for a proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) must be an http or "
            "https address, such as http://proxy:3128."
        ) from None


def _proxy_headers(username: str | None, password: str | None) -> dict[str, str]:
    """Return the header for a proxy that asks for a user name and a password (RFC 7617)."""
    if username is None:
        return {}
    pair = f"{unquote(username)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
