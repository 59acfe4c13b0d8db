"""A dataset behind a real port, and its links."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.http_server import serving
from tests.support.links import shared
from tests.support.share_pages import FILES, NOTE, README


@pytest.fixture(scope="module")
def address(lab: Dserver) -> Iterator[str]:
    """The dserver of the module, behind a real port."""
    with serving(lab.app) as address:
        yield address


@pytest.fixture(scope="module")
def uri(lab: Dserver) -> str:
    """A dataset with a README, a picture, a text, and more files than a page has."""
    deposit = Deposit(FILES, name="cress-heights", readme=README)
    done = DtoolDserver().upload(lab.alice, lab.base_uri, deposit)
    assert done.status_code == 200, done.json
    return done.json["uri"]


@pytest.fixture(scope="module")
def link(lab: Dserver, address: str, uri: str) -> str:
    """A link to all of it, with a note."""
    return address + shared(lab, uri, note=NOTE).path
