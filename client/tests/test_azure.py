"""Reading from Azure: what it answers differs from S3 in ETags, ranges and codes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dserver_client.client import Client

from client.tests.support.proxied_lab import some_bytes
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.http_server import serving

MIDDLE = some_bytes(700_000)


@pytest.fixture(scope="module")
def client(azure_lab: Dserver) -> Iterator[Client]:
    with serving(azure_lab.app) as url, Client(url, azure_lab.tokens["alice"]) as client:
        yield client


@pytest.fixture(scope="module")
def uri(azure_lab: Dserver) -> str:
    deposit = Deposit({**FILES, "middle": MIDDLE})
    answer = DtoolDserver().upload(azure_lab.alice, azure_lab.base_uri, deposit)
    return str(answer.json["uri"])


def test_items_are_fetched(client: Client, uri: str, tmp_path: Path) -> None:
    client.fetch(uri, tmp_path / "dest", as_dataset=True)
    for relpath, content in {**FILES, "middle": MIDDLE}.items():
        assert (tmp_path / "dest" / "data" / relpath).read_bytes() == content


@pytest.mark.parametrize("full", [False, True])
def test_items_are_verified(client: Client, uri: str, full: bool) -> None:
    verified = client.verify(uri, full=full)
    assert verified.is_right
    assert verified.hashes_compared == 4


def test_an_item_is_read_in_place(client: Client, uri: str) -> None:
    with client.open(uri, "middle") as file:
        assert file.read(1) == MIDDLE[:1]
        file.seek(-10, os.SEEK_END)
        assert file.read() == MIDDLE[-10:]
