"""How long Azure's URLs live, and under which address people find the account."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import ConfigurationError
from tests.support.clients import FILES, Deposit, DtoolDserver, urls_in
from tests.support.dserver import Dserver
from tests.support.refusals import assert_refused

WEEK = 604_800
CLIENT = DtoolDserver()


@pytest.fixture(scope="module")
def uri(azure_lab: Dserver) -> str:
    """A dataset to be read."""
    return uploaded(azure_lab)


def uploaded(dserver: Dserver) -> str:
    deposit = Deposit(more={"annotations": {"a": 1}, "tags": ["t"]})
    done = CLIENT.upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200, done.json
    return str(done.json["uri"])


def answers(dserver: Dserver, uri: str, **query: Any) -> list[Any]:
    """Ask every door that hands out URLs."""
    identifier = generate_identifier(next(iter(FILES)))
    begun = dserver.alice.begin(dserver.base_uri, {**CLIENT.plan(Deposit()), **query})
    path = f"/signed-urls/upload/{begun.json['uri'].replace('/', '%2F')}"
    resumed = dserver.alice.get(path, query_string={"urls": True, **query})
    return [
        dserver.bob.read(uri, **query).json,
        dserver.bob.read_item(uri, identifier, **query).json,
        begun.json,
        resumed.json["upload"],
    ]


def time(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize("seconds", [None, 1, 77, WEEK])
def test_the_promised_end_is_the_end_of_every_url(azure_lab, uri, seconds):
    query = {} if seconds is None else {"expiry_seconds": seconds}
    before = datetime.now(timezone.utc)
    for answer, default in zip(
        answers(azure_lab, uri, **query), [3600, 3600, 14_400, 14_400], strict=True
    ):
        assert answer["expiry_seconds"] == (seconds or default)
        promised = time(answer["expiry_timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
        life = timedelta(seconds=answer["expiry_seconds"])
        assert abs(promised - before - life) < timedelta(seconds=30)
        queries = [parse_qs(urlsplit(url).query) for url in urls_in(answer)]
        assert {time(query["se"][0], "%Y-%m-%dT%H:%M:%SZ") for query in queries} == {promised}
        # A start could lie ahead of the store's clock.
        assert not any("st" in query for query in queries)


def test_a_life_that_is_too_long_is_refused(azure_lab, uri):
    assert_refused(azure_lab.bob.read(uri, expiry_seconds=WEEK + 1), 422, str(WEEK))
    plan = {**CLIENT.plan(Deposit()), "expiry_seconds": WEEK + 1}
    assert_refused(azure_lab.alice.begin(azure_lab.base_uri, plan), 422, str(WEEK))


def public(endpoint: str) -> str:
    """The account's address as another machine might know it."""
    return endpoint.replace("127.0.0.1", "localhost")


@pytest.fixture(params=["its own setting", "host rewrite"])
def seen_from_outside(request, make_azure_dserver, account) -> Dserver:
    """A dserver whose account has another address for people."""
    internal, external = (
        urlsplit(url).netloc for url in (account.endpoint, public(account.endpoint))
    )
    settings = {
        "its own setting": {
            f"DTOOL_AZURE_PUBLIC_BLOB_ENDPOINT_{account.name}".upper(): public(account.endpoint)
        },
        "host rewrite": {"SIGNED_URL_HOST_REWRITE": f"{internal}|{external}"},
    }
    return make_azure_dserver(**settings[request.param])


def test_people_are_given_the_public_address_and_it_works(seen_from_outside, account):
    uri = uploaded(seen_from_outside)
    granted = answers(seen_from_outside, uri)
    assert all(
        url.startswith(f"{public(account.endpoint)}/")
        for answer in granted
        for url in urls_in(answer)
    )
    for url in [*urls_in(granted[0]), *urls_in(granted[1])]:
        assert requests.get(url, timeout=30).status_code == 200
    assert seen_from_outside.alice.complete(granted[2]["uri"]).status_code == 400


@pytest.mark.parametrize("kind", ["BLOB_ENDPOINT", "PUBLIC_BLOB_ENDPOINT"])
def test_an_endpoint_that_is_none_stops_the_start_with_its_name(make_azure_dserver, account, kind):
    name = f"DTOOL_AZURE_{kind}_{account.name}".upper()
    with pytest.raises(ConfigurationError, match=name):
        make_azure_dserver(**{name: "ftp://somewhere/else"})


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        (None, "https://{}.blob.core.windows.net/"),
        ("core.chinacloudapi.cn", "https://{}.blob.core.chinacloudapi.cn/"),
        ("https://blobs.example.org/", "https://blobs.example.org/"),
    ],
)
def test_urls_of_https_are_good_for_https_alone(make_azure_dserver, account, endpoint, host):
    """Reading an address out of a setting takes no store."""
    setting = f"DTOOL_AZURE_BLOB_ENDPOINT_{account.name}".upper()
    storage = make_azure_dserver(**{setting: endpoint}).storage
    urls = storage.uploads.write_urls(
        "u" * 36, "s" * 32, [], storage.uploads.life(60), pinned=False
    ).documents
    for url in urls.values():
        assert url.startswith(host.format(account.name))
        assert parse_qs(urlsplit(url).query)["spr"] == ["https"]
