"""Empty files as dtool sends them, and a store that refuses, as AWS does, what has no length."""

from __future__ import annotations

from io import BytesIO
from itertools import count

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import encoded
from tests.support.pauses import Sleep, another, lose_leases
from tests.support.proxy import Fault
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
    assert [*map(is_listing, again.requests)].count(True) == 1
    assert not [request for request in again.requests if request.method == "PUT"]
    assert len(again.queries) - len(first.queries) <= 2


def test_the_status_lists_once_for_what_is_missing_and_its_urls(placed, place_proxy):
    grant = DtoolDserver().begin(placed.alice, placed.base_uri, Deposit(FILES))
    with counted(placed, place_proxy) as status:
        answer = placed.alice.get(f"/signed-urls/upload/{encoded(grant['uri'])}?urls=true")
    assert answer.json["upload"]["upload_urls"]["items"].keys() == {ONE}
    assert [*map(is_listing, status.requests)].count(True) == 1


def test_an_empty_file_that_is_written_late_meets_no_other_upload(placed, place_proxy):
    """Its UUID is not free before the URLs end, although none was handed out."""
    client, deposit = DtoolDserver(), Deposit(FILES)
    other = Deposit({**FILES, "empty.dat": b"not empty"}, uuid=deposit.uuid)

    def overtake():
        lose_leases(placed)
        upload = encoded(f"{placed.base_uri}/{deposit.uuid}")
        cancelled = another(placed).delete(f"/signed-urls/upload/{upload}")
        return cancelled.status_code, another(placed).begin(placed.base_uri, client.plan(other))

    place_proxy.before = sleep = Sleep(writes_an_empty_item, overtake)
    late = placed.alice.begin(placed.base_uri, client.plan(deposit))
    place_proxy.heal()
    cancelled, refused = sleep.outcome
    assert (cancelled, refused.json["errors"]["slug"]) == (200, "urls-alive")
    assert (late.status_code, late.json["errors"]["slug"]) == (409, "upload-busy")


def test_an_empty_file_replaces_nothing(make_dserver, proxy, s3):
    dserver, client, deposit = make_dserver(**proxy.settings()), DtoolDserver(), Deposit(FILES)
    place = {"Bucket": dserver.bucket.name, "Key": f"{deposit.uuid}/data/{min(EMPTY)}"}

    def is_written(request):
        return request.method == "PUT" and min(EMPTY) in request.target

    proxy.before = Sleep(is_written, lambda: s3.put_object(**place, Body=b"newer"))
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    proxy.heal()
    assert s3.get_object(**place)["Body"].read() == b"newer"
    assert grant["upload_urls"]["items"].keys() == {ONE, min(EMPTY)}


def test_an_empty_file_whose_answer_was_lost_is_written(make_dserver, proxy, s3):
    dserver, client, deposit = make_dserver(**proxy.settings()), DtoolDserver(), Deposit(FILES)
    lost = count()
    proxy.after = lambda request: (
        Fault.DROPPED if writes_an_empty_item(request) and next(lost) == 0 else None
    )
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    proxy.heal()
    assert next(lost) > 1
    assert grant["upload_urls"]["items"].keys() == {ONE}
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200


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


def writes_an_empty_item(request) -> bool:
    return request.method == "PUT" and any(name in request.target for name in EMPTY)


def is_listing(request) -> bool:
    return request.method == "GET" and (
        "list-type=2" in request.target or "comp=list" in request.target
    )
