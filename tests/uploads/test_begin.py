"""Announce, PUT, complete: what a person gets who follows the URLs."""

import dtoolcore
import pytest
import requests

from tests.support.clients import README, Deposit, DtoolDserver, RelpathsOnly, each_client
from tests.support.dserver import encoded


@each_client
def test_what_is_deposited_can_be_downloaded_again(dserver, client):
    deposit = Deposit()
    done = client.upload(dserver.alice, dserver.base_uri, deposit)
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    assert (done.status_code, done.json) == (
        200,
        {"uri": uri, "status": "registered", "name": deposit.name, "uuid": deposit.uuid},
    )

    urls = dserver.bob.read(uri).json
    for identifier, url in urls["item_urls"].items():
        assert requests.get(url, timeout=30).content == deposit.content(identifier)
    assert requests.get(urls["readme_url"], timeout=30).text == README


@each_client
def test_dtool_verifies_what_was_deposited(dserver, client, dtool_reads):
    deposit = Deposit()
    client.upload(dserver.alice, dserver.base_uri, deposit)

    dataset = dtoolcore.DataSet.from_uri(f"{dserver.base_uri}/{deposit.uuid}")
    assert len(dataset.identifiers) == len(deposit.files)
    for identifier in dataset.identifiers:
        with open(dataset.item_content_abspath(identifier), "rb") as content:
            assert content.read() == deposit.content(identifier)
    assert dataset.generate_manifest()["items"].keys() == dataset.identifiers


@pytest.mark.parametrize(("place", "most"), [("bucket", 5 * 1024**3), ("account", 5000 * 1024**2)])
def test_the_largest_item_that_a_put_can_carry_is_told(request, make_dserver_on, place, most):
    dserver, deposit = make_dserver_on(request.getfixturevalue(place)), Deposit()
    grant = RelpathsOnly().begin(dserver.alice, dserver.base_uri, deposit)
    path = f"/signed-urls/upload/{encoded(grant['uri'])}"
    progress = dserver.alice.get(path, query_string={"urls": True}).json
    assert grant["max_size_in_bytes"] == progress["upload"]["max_size_in_bytes"] == most
    refused = dserver.alice.complete(grant["uri"])
    assert refused.status_code == 400
    assert f"a single PUT carries at most {most} bytes; announce" in refused.json["message"]


def test_nothing_is_said_of_limits_where_every_size_was_announced(dserver):
    grant = DtoolDserver().begin(dserver.alice, dserver.base_uri, Deposit())
    assert "at most" not in dserver.alice.complete(grant["uri"]).json["message"]
