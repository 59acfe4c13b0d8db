"""Empty files as dtool sends them, and a store that refuses, as AWS does, what has no length."""

from __future__ import annotations

from io import BytesIO

import pytest
import requests
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DserverClientJS, DtoolDserver
from tests.support.dserver import encoded
from tests.support.s3_holdings import check_dataset

FILES = {"one.txt": b"eins", "empty.dat": b""}


@pytest.fixture
def dserver(make_dserver, proxy):
    """A dserver whose people reach the store through what refuses chunked bodies."""
    proxy.refuses_chunks = True
    return make_dserver(**proxy.public_settings())


def put_file(grant, deposit, relpath):
    """PUT a file as dtool-dserver does, which opens it first."""
    item = grant["upload_urls"]["items"][generate_identifier(relpath)]
    content = BytesIO(deposit.files[relpath])
    return requests.put(item["url"], data=content, headers=item["headers"], timeout=30)


def test_dtools_empty_file_is_refused_and_completion_says_what_is_missing(dserver, s3):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    assert put_file(grant, deposit, "one.txt").status_code == 200
    refused = put_file(grant, deposit, "empty.dat")
    assert refused.request.headers["Transfer-Encoding"] == "chunked"
    assert (refused.status_code, "<Code>NotImplemented</Code>" in refused.text) == (501, True)

    incomplete = dserver.alice.complete(grant["uri"])
    assert incomplete.status_code == 400
    assert incomplete.json["errors"]["missing"] == ["empty.dat"]
    assert incomplete.json["message"].startswith("1 item(s) are missing and 0 differ")

    path = f"/signed-urls/upload/{encoded(grant['uri'])}"
    fresh = dserver.alice.get(path, query_string={"urls": True}).json["upload"]
    [item] = fresh["upload_urls"]["items"].values()
    sent = requests.put(item["url"], data=b"", headers=item["headers"], timeout=30)
    assert (sent.status_code, sent.request.headers["Content-Length"]) == (200, "0")
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit, readme="")


def test_azure_refuses_dtools_empty_file_too(azure_dserver):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(azure_dserver.alice, azure_dserver.base_uri, deposit)
    assert put_file(grant, deposit, "one.txt").status_code == 201
    assert not put_file(grant, deposit, "empty.dat").ok
    incomplete = azure_dserver.alice.complete(grant["uri"])
    assert incomplete.json["errors"]["missing"] == ["empty.dat"]


def test_a_browsers_empty_file_has_a_length_and_is_taken(dserver, s3):
    deposit = Deposit(FILES)
    done = DserverClientJS().upload(dserver.alice, dserver.base_uri, deposit)
    assert done.status_code == 200
    check_dataset(dserver, s3, deposit)
