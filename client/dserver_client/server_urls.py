"""Addresses of dservers: ``https://host[:port][/prefix]``, without a slash at the end."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from dserver_client.errors import UsageError

_HOST = re.compile(r"[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\]")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*")
# What follows the address of dserver in the link of a share, before the token.
LINK_PATH = "/signed-urls/s/"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def server_url(text: str, name: str = "The address of dserver", protocol: str | None = None) -> str:
    """Return the address of a dserver, normalised.

    Without a scheme it is https, unless the host is this machine.

    :param text: ``host[:port][/prefix]``, with or without ``http://`` or ``https://`` before it.
    :param name: what the text is, to begin the error with, such as the name of a variable.
    :param protocol: ``http`` or ``https`` where the text has no scheme; None for the default.
    :raises UsageError: if it is no such address.
    """
    scheme, separator, rest = text.strip().rpartition("://")
    scheme = scheme.lower()
    if separator and scheme not in _DEFAULT_PORTS:
        raise UsageError(f"{name} must be an http or https address, not {scheme}://….")
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority, name)
    scheme = scheme or protocol or ("http" if is_this_machine(host) else "https")
    prefix = (slash + path).rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(f"{name} must be an address without a query, such as https://host/prefix.")
    if LINK_PATH in f"{prefix}/":
        # Not repeated: the token of a link is a secret.
        raise UsageError(f"{name} must not be a link: it ends before {LINK_PATH}.")
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}{prefix}"


def is_this_machine(host: str) -> bool:
    """Return whether a host, with brackets if it is an IPv6 address, is this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def without_scheme(url: str) -> str:
    """Return ``host[:port][/prefix]`` of the address of a dserver."""
    return url.partition("://")[2]


def _host_and_port(authority: str, name: str) -> tuple[str, int | None]:
    if "@" in authority:
        # Not repeated: it may hold a password.
        raise UsageError(f"{name} must not hold a user name or a password.")
    try:
        port = urlsplit(f"//{authority}").port
    except ValueError:
        raise UsageError(f"{name} has no valid port.") from None
    host = authority if port is None else authority.rpartition(":")[0]
    host = host.removesuffix(":").lower()
    if not _HOST.fullmatch(host):
        raise UsageError(f"{name} must be an address such as https://host/prefix.")
    return host, port
