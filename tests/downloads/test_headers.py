"""Metadata in the headers of answers, as proxies and other stores spell or lose it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import UploadFrozen
from dserver_signed_url_plugin.storage.values import Claim
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.proxy import StoreProxy
from tests.support.stored_upload import uninterrupted

RELPATH = "Notizen/Größe über Zeit.txt"
PREFIXES = ("x-amz-meta-", "x-ms-meta-")


def is_metadata(name):
    return name.lower().startswith(PREFIXES)


def with_capitals(_, headers):
    """What Go's net/http makes of them, and with it Caddy and Traefik."""
    return {name.title(): value for name, value in headers.items()}


def with_dashes(_, headers):
    """What Ceph's gateway makes of them."""
    return {
        name.replace("_", "-") if is_metadata(name) else name: value
        for name, value in headers.items()
    }


def lost(_, headers):
    """What is left behind a proxy that hands on what it knows."""
    return {name: value for name, value in headers.items() if not is_metadata(name)}


def lost_with_md5s(request, headers):
    """What also hides that a body is another one."""
    kept = lost(request, headers)
    return {name: value for name, value in kept.items() if name.lower() != "content-md5"}


@pytest.fixture(params=["s3", "azure"])
def place(request: pytest.FixtureRequest):
    return request.getfixturevalue("bucket" if request.param == "s3" else "account")


@pytest.fixture
def proxy(place) -> Iterator[StoreProxy]:
    with StoreProxy(place) as running:
        yield running


@pytest.fixture
def dserver(make_dserver_on: Callable[..., Dserver], place, proxy) -> Dserver:
    return make_dserver_on(place, **proxy.settings())


each_way = pytest.mark.parametrize("headed", [with_capitals, with_dashes, lost])


@each_way
def test_people_deposit_and_read_whatever_becomes_of_headers(dserver, proxy, headed):
    proxy.headed = headed
    deposit = Deposit({RELPATH: b"gewachsen\n"})
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    urls = dserver.bob.read(uri).json["item_urls"]
    item = dserver.bob.read_item(uri, generate_identifier(RELPATH)).json
    for url in (item["url"], *urls.values()):
        answer = requests.get(url, timeout=30)
        assert answer.content == b"gewachsen\n"
        named = "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%C3%BCber%20Zeit.txt"
        assert named in answer.headers["Content-Disposition"]


@each_way
def test_a_frozen_dataset_counts_as_one_whatever_becomes_of_headers(dserver, proxy, headed):
    deposit = Deposit({RELPATH: b"gewachsen\n"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    other = Deposit({RELPATH: b"gewachsen\n"})
    DtoolDserver().begin(dserver.alice, dserver.base_uri, other)
    proxy.headed = headed
    storage = dserver.storage
    assert storage.uploads.dataset_type(deposit.uuid) == "dataset"
    assert storage.uploads.dataset_type(other.uuid) == "protodataset"
    with pytest.raises(UploadFrozen):
        storage.discards.discard(deposit.uuid, Claim({}, was_written=True), uninterrupted)


def test_a_name_is_looked_up_elsewhere_only_where_it_is_lost(dserver, proxy):
    other = "Notizen/Höhe.txt"
    deposit = Deposit({RELPATH: b"gewachsen\n", other: b"kaum\n"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    asked = []
    for headed, relpath in ((with_capitals, other), (lost, RELPATH)):
        proxy.headed = headed
        proxy.forget()
        dserver.bob.read_item(f"{dserver.base_uri}/{deposit.uuid}", generate_identifier(relpath))
        asked.append([request for request in proxy.requests if "manifest" in request.target])
    assert [len(manifests) for manifests in asked] == [0, 1]


def test_an_item_whose_manifest_cannot_be_read_goes_by_its_identifier(dserver, proxy):
    deposit = Deposit({RELPATH: b"gewachsen\n"})
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    proxy.headed = lost_with_md5s
    proxy.rewritten = lambda content: b"!" * len(content)
    identifier = generate_identifier(RELPATH)
    item = dserver.bob.read_item(f"{dserver.base_uri}/{deposit.uuid}", identifier)
    assert item.status_code == 200
    answer = requests.get(item.json["url"], timeout=30)
    assert identifier in answer.headers["Content-Disposition"]
