from __future__ import annotations

from pathlib import Path

import pytest
from dserver_client.broker.frozen_dataset import FrozenDataset
from dserver_client.errors import Unavailable

from client.tests.support.proxied_lab import ProxiedLab
from tests.support.proxy import Instead


@pytest.fixture
def dataset(proxied: ProxiedLab, tmp_path: Path) -> FrozenDataset:
    uri = proxied.deposit({"a": b"1"})
    return FrozenDataset(proxied.client.server, uri, "dserver://lab", tmp_path)


def test_a_page_of_a_proxy_is_no_document(proxied: ProxiedLab, dataset: FrozenDataset) -> None:
    proxied.proxy.before = lambda _: Instead(200, b"<html>Maintenance</html>")
    for read in (dataset.readme, dataset.manifest, dataset.admin_metadata):
        with pytest.raises(Unavailable, match="in the store's place"):
            read()


def test_a_readme_that_is_not_utf_8_is_shown(proxied: ProxiedLab, dataset: FrozenDataset) -> None:
    proxied.proxy.before = lambda _: Instead(200, b"Gr\xf6\xdfe", {"ETag": '"1"'})
    assert dataset.readme() == "Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"
