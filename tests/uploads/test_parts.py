"""Items in parts: announced, sent, completed and read; on each store by following the URLs."""

from __future__ import annotations

import pytest

from tests.support.dserver import Dserver
from tests.support.parts import (
    IDENTIFIER,
    LARGE,
    PART,
    SETTINGS,
    begin,
    deposit,
    put_small,
    send_all,
)


@pytest.fixture
def dserver(make_dserver_on, place) -> Dserver:
    return make_dserver_on(place, **SETTINGS)


def test_an_item_in_parts_becomes_one_that_is_read_and_verified(dserver, holdings):
    wanted = deposit()
    grant = begin(dserver, wanted)
    entry = grant["upload_urls"]["items"][IDENTIFIER]
    assert entry == {
        "url": None,
        "relpath": LARGE,
        "headers": {},
        "parts": {"size": PART, "count": 2},
    }
    put_small(grant, wanted)
    answer = send_all(dserver.alice, grant["uri"], pinned=True)
    assert (answer["uri"], answer["identifier"]) == (grant["uri"], IDENTIFIER)
    assert (answer["part_size"], answer["count"], answer["stored"]) == (PART, 2, {})
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json["verified"]) == (200, "parts")
    assert dserver.alice.complete(grant["uri"]).json == done.json
    holdings.check_dataset(dserver, wanted)
    assert holdings.verifies(dserver, wanted)
