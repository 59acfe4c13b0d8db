"""A PUT that stalls: its headers and the first byte are sent, the rest is not yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from dserver_signed_url_plugin.storage.values import SignedRequest


@contextmanager
def stalled(request: SignedRequest, content: bytes) -> Iterator[Callable[[], int]]:
    """Begin a PUT; provide what sends the rest of it and returns the status."""
    url = urlsplit(request.url)
    connection = HTTPConnection(url.netloc, timeout=30)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    for name, value in {**request.headers, "Content-Length": str(len(content))}.items():
        connection.putheader(name, value)
    connection.endheaders(content[:1])

    def go_on() -> int:
        connection.send(content[1:])
        return connection.getresponse().status

    try:
        yield go_on
    finally:
        connection.close()
