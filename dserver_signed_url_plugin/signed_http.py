"""HTTP connections for this plugin's own requests to signed URLs.

Proxies and certificates are those of the environment, as for boto3. Neither errors nor log lines
hold a signature, and no library that traces urllib3 sees one.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProxyError

_TIMEOUT = 60  # seconds, to connect and for each read
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # http.client's words


class UnusableConnections(Exception):
    """The environment's proxy or certificates cannot be used; the message says why."""


def connections(url: str, number: int) -> urllib3.PoolManager:
    """Return connections to a store, through the proxy that the environment names, if any.

    :param url: a URL of the store.
    :param number: how many requests are sent at a time.
    :raises UnusableConnections: if they cannot be set up.
    """
    logging.getLogger("urllib3.connection").addFilter(_hide_queries)
    try:
        return _pool_manager(url, number)
    except ValueError:
        # Not chained: the message may hold the password of the proxy.
        reason = "the environment's variable for a proxy holds no URL of one that can be used"
        raise UnusableConnections(reason) from None
    except OSError as error:
        reason = f"the certificates cannot be used ({_cause(error)})"
        raise UnusableConnections(reason) from None


def proxy_name(manager: urllib3.PoolManager) -> str:
    """Return how messages name the proxy."""
    return f"the proxy {manager.proxy.host}" if manager.proxy else "a proxy"


def no_answer(manager: urllib3.PoolManager, host: str | None, error: BaseException) -> str:
    """Return in words why there is no answer, without the URL that urllib3's message holds."""
    inner = causes(error)
    if refusal := _TUNNEL_REFUSED.match(str(inner[-1])):
        return f"{proxy_name(manager)} answered {refusal[1]}"
    failed = proxy_name(manager) if any(isinstance(each, ProxyError) for each in inner) else host
    return f"{failed} does not answer ({_cause(error)})"


def causes(error: BaseException) -> Sequence[BaseException]:
    """Return an error and those inside it, from urllib3's down to the system's."""
    for each in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(each, Exception):
            return [error, *causes(each)]
    return [error]


# Of the request that is being sent, with its question mark.
_query: ContextVar[str] = ContextVar("query", default="")


@contextmanager
def _without_query(url: str) -> Iterator[str]:
    """Yield a URL without its query, which a connection appends in the ``with`` block.

    urllib3 repeats a request without the query, so that of the first attempt is kept.
    """
    path, mark, query = url.partition("?")
    token = _query.set(f"{mark}{query}" or _query.get())
    try:
        yield path
    finally:
        _query.reset(token)


class _Connection(HTTPConnection):
    """Mixin: a connection that appends the query."""

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> None:
        super().request(method, f"{url}{_query.get()}", *arguments, **options)


class _Connections(HTTPConnectionPool):
    """Mixin: connections whose urlopen(), which libraries replace to trace it, gets no query."""

    def urlopen(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        with _without_query(url) as path:
            return super().urlopen(method, path, *arguments, **options)


class _Pool(_Connections):
    class ConnectionCls(_Connection):
        """A connection that appends the query."""


class _SecurePool(_Connections, HTTPSConnectionPool):
    class ConnectionCls(_Connection, HTTPSConnection):
        """The same over TLS."""


def _pool_manager(url: str, number: int) -> urllib3.PoolManager:
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        # OpenSSL's own variables, such as SSL_CERT_FILE, are read by OpenSSL.
        bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
        context = ssl.create_default_context(cafile=bundle)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if proxy is None:
        manager = urllib3.PoolManager(maxsize=number, timeout=_TIMEOUT, ssl_context=context)
    else:
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        manager = urllib3.ProxyManager(
            proxy,
            proxy_headers=_proxy_headers(proxy),
            maxsize=number,
            timeout=_TIMEOUT,
            ssl_context=context,
        )
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


def _proxy_headers(proxy: str) -> dict[str, str]:
    """Return the header for a proxy that asks for a user name and password (RFC 7617)."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _cause(error: BaseException) -> str:
    """Return what the system said, without the URL that urllib3 puts around it."""
    last = causes(error)[-1]
    return (isinstance(last, OSError) and last.strerror) or type(last).__name__


def _hide_queries(record: logging.LogRecord) -> bool:
    """Take the query, which holds the signature, out of the URL of a response's bad headers."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            each.partition("?")[0] if isinstance(each, str) else each for each in record.args
        )
    return True
