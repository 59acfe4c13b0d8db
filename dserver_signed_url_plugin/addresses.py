"""Addresses of stores, validated and normalised before URLs are signed for them.

The signature covers the host as it is written. Browsers, curl and requests normalise URLs, each in
its own way, but none of them changes a URL in the normal form of the URL Standard.

Source: WHATWG, "URL Standard", https://url.spec.whatwg.org/
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import ada_url

# Stricter than the standard, which tolerates line breaks or a wrong number of slashes, for example.
_SHAPE = re.compile(r"https?://[^/\\@?#\s]+(?:/[^?#\s]*)?", re.IGNORECASE)
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_HOST_WITH_UNDERSCORES = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_MAX_HOST_LENGTH = 255
_DEFAULT_PORTS = {"http": 80, "https": 443}


def web_address(text: str, *, underscores: bool = False) -> str | None:
    """Return an http or https URL in normal form, without a trailing slash, or None if invalid.

    Invalid are also URLs with a user, a query or a fragment, and hosts that only browsers accept.
    A trailing dot of the host is removed: some clients send it, others do not.

    :param underscores: whether the host may contain underscores, which boto3 refuses.
    """
    if not _SHAPE.fullmatch(text):
        return None
    try:
        url = ada_url.URL(text)
    except ValueError:
        return None
    host = url.hostname.removesuffix(".")
    names = _HOST_WITH_UNDERSCORES if underscores else _HOST
    if not (host.startswith("[") or names.fullmatch(host)) or len(host) > _MAX_HOST_LENGTH:
        return None
    if url.port == "0":
        return None
    port = f":{url.port}" if url.port else ""
    return f"{url.protocol}//{host}{port}{url.pathname.rstrip('/')}"


def blob_endpoint(account: str, setting: str | None) -> str | None:
    """Return the URL of an Azure account in normal form, or None if the setting is invalid.

    :param setting: a URL, or the domain of a cloud, by default that of the public cloud.
    """
    setting = setting or "core.windows.net"
    if "://" in setting:
        return web_address(setting, underscores=True)
    if "/" in setting:
        return None
    return web_address(f"https://{account}.blob.{setting}", underscores=True)


def has_host(address: str, host: str) -> bool:
    """Return whether a URL in normal form has the given host, and its port if one is given.

    :param host: ``host`` or ``host:port``.
    """
    actual = urlsplit(address)
    expected = urlsplit(web_address(f"{actual.scheme}://{host}", underscores=True) or "")
    any_port = urlsplit(f"//{host}").port is None
    default = _DEFAULT_PORTS[actual.scheme]
    same_port = (actual.port or default) == (expected.port or default)
    return actual.hostname == expected.hostname and (same_port or any_port)
