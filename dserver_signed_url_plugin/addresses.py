"""Addresses of stores: whether a text is one, and how it is spelled in a URL that is signed.

A signature holds for one spelling of the host. Browsers, curl and requests each tidy up what they
are given, in ways of their own, but leave alone what has the URL Standard's spelling already.

Source: WHATWG, "URL Standard", https://url.spec.whatwg.org/
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import ada_url

# The standard forgives more than this, such as other numbers of slashes, or a line break.
_SHAPE = re.compile(r"https?://[^/\\@?#\s]+(?:/[^?#\s]*)?", re.IGNORECASE)
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_HOST_WITH_UNDERSCORES = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_LONGEST_HOST = 255
_PORTS = {"http": 80, "https": 443}


def web_address(text: str, underscores: bool = False) -> str | None:
    """Return an http or https URL in the standard's spelling, without a slash at its end.

    None for what is none, for what holds a user, a query or a fragment, and for a host that no
    client but a browser takes. A dot at the host's end is left out: some clients send it, and
    others do not.

    :param underscores: whether the host may have some. boto3 refuses them.
    """
    if not _SHAPE.fullmatch(text):
        return None
    try:
        url = ada_url.URL(text)
    except ValueError:
        return None
    host = url.hostname.removesuffix(".")
    names = _HOST_WITH_UNDERSCORES if underscores else _HOST
    if not (host.startswith("[") or names.fullmatch(host)) or len(host) > _LONGEST_HOST:
        return None
    if url.port == "0":
        return None
    port = f":{url.port}" if url.port else ""
    return f"{url.protocol}//{host}{port}{url.pathname.rstrip('/')}"


def blob_endpoint(account: str, setting: str | None) -> str | None:
    """Return the URL of an Azure account in the standard's spelling, or None if it has none.

    :param setting: a URL, or a bare domain in which accounts have their hosts; None is Azure's own.
    """
    setting = setting or "core.windows.net"
    if "://" in setting:
        return web_address(setting, underscores=True)
    if "/" in setting:
        return None
    return web_address(f"https://{account}.blob.{setting}", underscores=True)


def has_host(address: str, host: str) -> bool:
    """Tell whether a URL in the standard's spelling leads to a host, given as ``host[:port]``.

    Without a port it is any port of the host.
    """
    here = urlsplit(address)
    there = urlsplit(web_address(f"{here.scheme}://{host}", underscores=True) or "")
    names_port = urlsplit(f"//{host}").port is not None
    default = _PORTS[here.scheme]
    same_port = (here.port or default) == (there.port or default)
    return here.hostname == there.hostname and (same_port or not names_port)
