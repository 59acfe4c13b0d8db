"""What the requests of a client's address are counted by."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address

# Some proxies report the port as well.
_WITH_PORT = re.compile(r"\[(?P<ipv6>[^]]*)\](?::\d*)?|(?P<ipv4>[\d.]+):\d*")
# What a provider gives to one customer, at least.
_PREFIX_LENGTH = 64
_UNKNOWN = "an unknown address"


def network_of(address: str | None) -> str:
    """Return an IPv4 address itself, of an IPv6 address its network; all others are one.

    :param address: as the WSGI server or a proxy reports it.
    """
    text = address or ""
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port["ipv6"] or with_port["ipv4"] or ""
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return _UNKNOWN
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, _PREFIX_LENGTH), strict=False))
