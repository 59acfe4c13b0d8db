"""Where the link of a share may lead."""

from __future__ import annotations

from typing import Any

import pytest
from dserver_client.errors import Unavailable
from dserver_client.links import parse_link
from dserver_client.server.link import Link
from urllib3 import HTTPResponse

TOKEN = "a" * 32


class Redirecting:
    """In place of connections: everything leads to one place."""

    def __init__(self, location: str) -> None:
        self._location = location

    def request(self, *_: Any, **__: Any) -> HTTPResponse:
        return HTTPResponse(b"", {"Location": self._location}, 303)


def signed(scheme: str, location: str) -> str:
    link = parse_link(f"{scheme}://lab.org/signed-urls/s/{TOKEN}")
    return Link(Redirecting(location), link).sign("0" * 40)


def test_a_link_with_encryption_leads_to_no_address_without():
    with pytest.raises(Unavailable, match="without encryption") as refused:
        signed("https", "http://store.org/a?signature")
    assert TOKEN not in str(refused.value)
    assert "signature" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_link_may_lead_to_any_store_with_encryption(scheme):
    assert signed(scheme, "https://store.org/a?b") == "https://store.org/a?b"


def test_a_link_without_encryption_may_lead_to_a_store_without():
    assert signed("http", "http://store.org/a") == "http://store.org/a"
