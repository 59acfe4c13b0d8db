"""What is stored as announced is left out of the answer to those who send hash_function."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.proxy import Fault

FILES = {"one.txt": b"eins", "two.txt": b"zwei", "empty.dat": b""}
ONE, TWO, EMPTY = map(generate_identifier, FILES)
CLIENT = DtoolDserver()


def test_an_unmodified_client_resumes_with_what_is_missing(placed, holdings):
    deposit = Deposit(FILES)
    grant = CLIENT.begin(placed.alice, placed.base_uri, deposit)
    assert grant["upload_urls"]["items"].keys() == {ONE, TWO}
    CLIENT.put_items({ONE: grant["upload_urls"]["items"][ONE]}, deposit)

    again = CLIENT.begin(placed.alice, placed.base_uri, deposit)
    assert again["upload_urls"]["items"].keys() == {TWO}
    CLIENT.put(again, deposit)
    assert CLIENT.begin(placed.alice, placed.base_uri, deposit)["upload_urls"]["items"] == {}
    assert placed.alice.complete(grant["uri"]).status_code == 200
    holdings.check_dataset(placed, deposit)


def test_what_is_staged_counts_as_stored(make_dserver, bucket):
    dserver, deposit = (
        make_dserver(**{f"SIGNED_URL_WRITES_{bucket.name}": "staged"}),
        Deposit(FILES),
    )
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put_items({ONE: grant["upload_urls"]["items"][ONE]}, deposit)
    again = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    assert again["upload_urls"]["items"].keys() == {TWO}
    CLIENT.put(again, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_what_is_stored_with_other_bytes_is_sent_or_written_again(placed, holdings):
    deposit = Deposit(FILES)
    # Without hash_function nothing is pinned.
    grant = DserverClientJS().begin(placed.alice, placed.base_uri, deposit)
    for identifier, content in ((ONE, b"eins"), (TWO, b"drei"), (EMPTY, b"more")):
        item = grant["upload_urls"]["items"][identifier]
        assert requests.put(item["url"], content, headers=block_blob(item), timeout=30).ok
    again = CLIENT.begin(placed.alice, placed.base_uri, deposit)
    assert again["upload_urls"]["items"].keys() == {TWO}
    CLIENT.put(again, deposit)
    assert placed.alice.complete(grant["uri"]).status_code == 200
    holdings.check_dataset(placed, deposit)


def test_what_was_announced_without_size_or_hash_is_never_left_out(dserver):
    deposit = Deposit({"one.txt": b"eins"})
    plan = CLIENT.plan(deposit)
    del plan["items"][0]["hash"]
    grant = dserver.alice.begin(dserver.base_uri, plan).json
    CLIENT.put(grant, deposit)
    assert dserver.alice.begin(dserver.base_uri, plan).json["upload_urls"]["items"].keys() == {ONE}


def test_a_frozen_upload_has_urls_for_no_item(make_dserver_on, place, monkeypatch):
    dserver, deposit = make_dserver_on(place), Deposit(FILES)
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    CLIENT.put(grant, deposit)
    with monkeypatch.context() as patch:
        patch.setattr(dserver.app.search, "register_dataset", None)
        assert dserver.alice.complete(grant["uri"]).status_code == 502
    again = CLIENT.begin(dserver.alice, dserver.base_uri, deposit)
    assert again["upload_urls"]["items"] == {}
    assert dserver.alice.complete(grant["uri"]).status_code == 200


def test_two_announcements_at_once_both_work(placed, holdings):
    deposit = Deposit({**FILES, **{f"empty/{number}": b"" for number in range(30)}})
    plan = CLIENT.plan(deposit)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: placed.alice.begin(placed.base_uri, plan), range(4)))
    granted = [answer for answer in answers if answer.status_code == 200]
    busy = [answer for answer in answers if answer.status_code == 409]
    assert granted
    assert len(granted) + len(busy) == 4
    assert all(answer.json["errors"]["slug"] == "upload-busy" for answer in busy)
    for answer in granted:
        assert answer.json["upload_urls"]["items"].keys() == {ONE, TWO}
    CLIENT.put(granted[0].json, deposit)
    assert placed.alice.complete(granted[0].json["uri"]).status_code == 200
    holdings.check_dataset(placed, deposit)


def test_a_store_that_fails_meanwhile_costs_only_a_repetition(placed, place_proxy, holdings):
    deposit = Deposit(FILES)
    place_proxy.before = lambda request: Fault.REFUSED if request.writes(EMPTY) else None
    assert placed.alice.begin(placed.base_uri, CLIENT.plan(deposit)).status_code == 502
    place_proxy.heal()
    done = CLIENT.upload(placed.alice, placed.base_uri, deposit)
    assert done.status_code == 200
    holdings.check_dataset(placed, deposit)


def block_blob(item) -> dict[str, str]:
    """The only header that Azure demands."""
    return {name: value for name, value in item["headers"].items() if name == "x-ms-blob-type"}
