"""Empty files as dtool sends them, and a store that refuses, as AWS does, what has no length."""

from __future__ import annotations

from io import BytesIO

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.request_costs import counted
from tests.support.s3_holdings import check_dataset

FILES = {"one.txt": b"eins", "empty.dat": b"", "a folder/empty": b""}
EMPTY = {generate_identifier(relpath) for relpath, content in FILES.items() if not content}
ONE = generate_identifier("one.txt")


@pytest.fixture
def dserver(make_dserver, proxy):
    """A dserver whose people reach the store through what refuses chunked bodies."""
    proxy.refuses_chunks = True
    return make_dserver(**proxy.public_settings())


class AnnouncesNoHashFunction(DtoolDserver):
    """Sends open files as dtool-dserver does, and does not skip items without an entry."""

    def plan(self, deposit):
        return {**super().plan(deposit), "hash_function": None, "upload_headers": True}


def test_dtools_empty_files_are_written_by_the_server(dserver, s3):
    deposit = Deposit(FILES)
    done = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200
    check_dataset(dserver, s3, deposit)


def test_an_empty_file_is_refused_of_whoever_sends_it_without_its_length(dserver):
    client, deposit = AnnouncesNoHashFunction(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    item = grant["upload_urls"]["items"][min(EMPTY)]
    refused = requests.put(item["url"], data=BytesIO(b""), headers=item["headers"], timeout=30)
    assert refused.request.headers["Transfer-Encoding"] == "chunked"
    assert (refused.status_code, "<Code>NotImplemented</Code>" in refused.text) == (501, True)
    sent = requests.put(item["url"], data=b"", headers=item["headers"], timeout=30)
    assert (sent.status_code, sent.request.headers["Content-Length"]) == (200, "0")


def test_a_browsers_empty_file_has_a_length_and_is_taken(dserver, s3):
    deposit = Deposit(FILES)
    done = DserverClientJS().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200
    check_dataset(dserver, s3, deposit)


def test_clients_that_skip_nothing_get_every_item(placed):
    client, deposit = AnnouncesNoHashFunction(), Deposit(FILES)
    for _ in range(2):
        grant = client.begin(placed.alice, placed.base_uri, deposit)
        assert len(grant["upload_urls"]["items"]) == len(FILES)


def test_empty_files_are_written_as_a_client_would_and_complete(placed, holdings):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(placed.alice, placed.base_uri, deposit)
    assert grant["upload_urls"]["items"].keys() == {ONE}
    client.put(grant, deposit)
    assert placed.alice.complete(grant["uri"]).status_code == 200
    holdings.check_dataset(placed, deposit)
    assert holdings.verifies(placed, deposit)


def test_nothing_is_listed_or_written_for_them_twice(placed, place_proxy):
    """A first announcement lists no more than one without empty files; a repeated one, once."""
    client, plain = DtoolDserver(), Deposit({"one.txt": b"eins"})
    with counted(placed, place_proxy) as usual:
        client.begin(placed.alice, placed.base_uri, plain)
    deposit = Deposit({**FILES, **{f"{number}.txt": b"x" for number in range(20)}})
    with counted(placed, place_proxy) as first:
        client.begin(placed.alice, placed.base_uri, deposit)
    assert len(first.requests) == len(usual.requests) + len(EMPTY)
    assert [*map(is_listing, first.requests)].count(True) == [
        *map(is_listing, usual.requests)
    ].count(True)

    with counted(placed, place_proxy) as again:
        client.begin(placed.alice, placed.base_uri, deposit)
    # On an account, what cannot be replaced is looked for, too.
    assert [*map(is_listing, again.requests)].count(True) <= 2
    assert not [request for request in again.requests if request.method == "PUT"]
    assert len(again.queries) - len(first.queries) <= 2


def test_an_empty_file_that_was_lost_is_written_again(dserver, s3):
    client, deposit = DtoolDserver(), Deposit(FILES)
    client.begin(dserver.alice, dserver.base_uri, deposit)
    lost = f"{deposit.uuid}/data/{min(EMPTY)}"
    s3.delete_object(Bucket=dserver.bucket.name, Key=lost)
    client.upload(dserver.alice, dserver.base_uri, deposit)
    check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize(
    "described",
    [{"size_in_bytes": 0, "hash": "d" * 32}, {"size_in_bytes": 0}, {"hash": "d" * 32}, {}],
    ids=str,
)
def test_what_is_not_known_to_be_empty_has_a_url(dserver, described):
    plan = DtoolDserver().plan(Deposit({}))
    plan["items"] = [{"relpath": "a", **described}]
    for _ in range(2):
        grant = dserver.alice.begin(dserver.base_uri, plan).json
        assert len(grant["upload_urls"]["items"]) == 1


def is_listing(request) -> bool:
    return request.method == "GET" and (
        "list-type=2" in request.target or "comp=list" in request.target
    )
