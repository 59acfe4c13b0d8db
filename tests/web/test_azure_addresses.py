"""Under which address people find an account of Azure, and what its endpoint may be."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from dserver_signed_url_plugin.errors import ConfigurationError
from tests.support.clients import urls_in
from tests.support.dserver import Dserver
from tests.web.test_lifetimes import answers, uploaded


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
