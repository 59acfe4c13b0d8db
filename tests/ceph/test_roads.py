"""The main roads of the HTTP contract, with datasets in Ceph RGW: announce, PUT, complete, read."""

from __future__ import annotations

import dtoolcore
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DtoolDserver, each_client
from tests.support.s3_holdings import verifies


@each_client
def test_what_is_deposited_is_read_through_signed_urls(dserver, client):
    deposit = Deposit(more={"tags": ["blue"], "annotations": {"room": [1]}})
    done = client.upload(dserver.alice, dserver.base_uri, deposit)
    assert (done.status_code, done.json["status"]) == (200, "registered")
    read = dserver.bob.read(done.json["uri"])
    assert (read.status_code, read.json["tags"]) == (200, ["blue"])
    assert requests.get(read.json["readme_url"], timeout=30).text == deposit.readme
    for identifier, url in read.json["item_urls"].items():
        single = dserver.bob.read_item(done.json["uri"], identifier).json["url"]
        for each in (url, single):
            assert requests.get(each, timeout=30).content == deposit.content(identifier)


@each_client
def test_dtool_itself_verifies_what_was_deposited(dserver, client, dtool_reads):
    deposit = Deposit()
    assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    assert verifies(dserver, deposit)


def test_dtool_itself_reads_what_was_deposited(dserver, dtool_reads):
    deposit = Deposit()
    uri = DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).json["uri"]
    dataset = dtoolcore.DataSet.from_uri(uri)
    assert dataset.get_readme_content() == deposit.readme
    for relpath, content in deposit.files.items():
        path = dataset.item_content_abspath(generate_identifier(relpath))
        with open(path, "rb") as item:
            assert item.read() == content


@each_client
def test_what_is_missing_or_differs_is_told_and_can_be_put_again(dserver, client):
    deposit = Deposit({"one.txt": b"eins", "two.txt": b"zwei"})
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    refused = dserver.alice.complete(grant["uri"])
    assert (refused.status_code, refused.json["errors"]["missing"]) == (400, ["one.txt", "two.txt"])
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert dserver.alice.complete(grant["uri"]).status_code == 200


@each_client
def test_an_upload_that_is_given_up_leaves_nothing(dserver, s3, client):
    grant = client.begin(dserver.alice, dserver.base_uri, Deposit())
    client.put(grant, Deposit(uuid=grant["uuid"]))
    path = f"/signed-urls/upload/{grant['uri'].replace(':', '%3A').replace('/', '%2F')}"
    assert dserver.alice.delete(path).status_code == 200
    assert s3.list_objects_v2(Bucket=dserver.bucket.name)["KeyCount"] == 0
