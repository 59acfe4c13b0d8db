"""What a process remembers of datasets: it saves requests, and changes no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dservercore.utils
import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.refusals import assert_refused
from tests.support.request_costs import counted

FILES = {"one.txt": b"first", "two.txt": b"second"}
ONE, TWO = map(generate_identifier, FILES)


@pytest.fixture
def uri(placed: Dserver) -> str:
    """A dataset at a base URI that a proxy stands before."""
    return deposited(placed, Deposit(FILES))


def deposited(dserver: Dserver, deposit: Deposit) -> str:
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


def cost(dserver: Dserver, proxy: Any, act: Callable[[], Any]) -> tuple[int, int]:
    with counted(dserver, proxy) as counts:
        assert act().status_code == 200
    return len(counts.requests), len(counts.queries)


def test_an_item_read_again_costs_no_request_and_three_statements(placed, place_proxy, uri):
    assert placed.bob.read_item(uri, ONE).status_code == 200
    again = cost(placed, place_proxy, lambda: placed.bob.read_item(uri, ONE))
    assert again == (0, 3)
    # Another item of a dataset whose manifest is known.
    placed.bob.read(uri)
    assert cost(placed, place_proxy, lambda: placed.bob.read_item(uri, TWO)) == (0, 3)


def test_a_dataset_read_again_costs_four_requests_and_reads_no_manifest(placed, place_proxy, uri):
    assert placed.bob.read(uri).status_code == 200
    assert cost(placed, place_proxy, lambda: placed.bob.read(uri)) == (4, 3)
    # Is the manifest the same? and overlays, annotations, tags.
    assert {request.method for request in place_proxy.requests} == {"HEAD", "GET"}
    manifests = [each for each in place_proxy.requests if "manifest" in each.target]
    assert [each.method for each in manifests] == ["HEAD"]


def test_permission_is_asked_for_each_time(placed, uri):
    assert placed.bob.read_item(uri, ONE).status_code == 200
    with placed.app.app_context():
        dservercore.utils.register_permissions(
            placed.base_uri,
            {"users_with_search_permissions": [], "users_with_register_permissions": []},
        )
    assert_refused(placed.bob.read_item(uri, ONE), 403)
    assert_refused(placed.bob.read(uri), 403)


def test_a_dataset_that_another_process_unregisters_is_gone_at_once(placed, make_dserver_on, uri):
    database = placed.app.config["SQLALCHEMY_DATABASE_URI"]
    other = make_dserver_on(placed.place, SQLALCHEMY_DATABASE_URI=database)
    for dserver in (placed, other):
        assert dserver.bob.read(uri).status_code == 200
        assert dserver.bob.read_item(uri, ONE).status_code == 200
    with other.app.app_context():
        dservercore.utils.delete_dataset(uri)
    for dserver in (placed, other):
        assert_refused(dserver.bob.read(uri), 404)
        assert_refused(dserver.bob.read_item(uri, ONE), 404)


def test_another_dataset_with_the_same_uuid_is_read_as_it_is(placed, make_dserver_on, holdings):
    """Its size, its number of items and its dates may be the same."""
    first, second = Deposit({"one.txt": b"1"}), Deposit({"two.txt": b"2"})
    second.uuid = first.uuid
    uri = deposited(placed, first)
    database = placed.app.config["SQLALCHEMY_DATABASE_URI"]
    other = make_dserver_on(placed.place, SQLALCHEMY_DATABASE_URI=database)
    for dserver in (placed, other):
        assert list(dserver.bob.read(uri).json["item_urls"]) == [ONE]
        assert dserver.bob.read_item(uri, ONE).status_code == 200
    with other.app.app_context():
        dservercore.utils.delete_dataset(uri)
    holdings.delete(first.uuid)
    deposited(other, second)
    for dserver in (placed, other):
        assert_refused(dserver.bob.read_item(uri, ONE), 404)
        assert list(dserver.bob.read(uri).json["item_urls"]) == [TWO]
        assert dserver.bob.read_item(uri, TWO).status_code == 200


def test_a_manifest_that_others_have_replaced_is_read_anew(dserver, s3):
    uri = deposited(dserver, Deposit(FILES))
    assert len(dserver.bob.read(uri).json["item_urls"]) == len(FILES)
    key = f"{DatasetURI.parse(uri).uuid}/manifest.json"
    s3.put_object(Bucket=dserver.bucket.name, Key=key, Body=b'{"items": {}}')
    assert dserver.bob.read(uri).json["item_urls"] == {}
    s3.delete_object(Bucket=dserver.bucket.name, Key=key)
    assert_refused(dserver.bob.read(uri), 404)


def test_without_bytes_for_it_nothing_is_remembered(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings(), SIGNED_URL_CACHE_BYTES=0)
    uri = deposited(dserver, Deposit(FILES))
    costs = [cost(dserver, proxy, lambda: dserver.bob.read_item(uri, ONE))[0] for _ in range(3)]
    # The first request also reads the lifecycle rules.
    assert costs[1:] == [1, 1]


@on_each_database
def test_a_read_costs_as_many_statements_on_each_database(dserver, proxy, database):
    uri = deposited(dserver, Deposit(FILES))
    # The second of an audit's statements on PostgreSQL limits how long the first waits.
    most = {"sqlite": 3, "postgresql": 4}[database.name]
    assert cost(dserver, proxy, lambda: dserver.bob.read_item(uri, ONE))[1] == most
