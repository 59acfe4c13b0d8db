"""Announce, PUT, complete: what a person gets who follows the URLs."""

import dtoolcore
import requests

from tests.clients import README, Deposit, each_client


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
