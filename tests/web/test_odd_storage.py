"""Storage that is not as expected: what others wrote there, what it cannot do, where it is said to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients import Deposit, DtoolDserver, each_client
from tests.dserver import Bucket, Dserver
from tests.holdings import check_dataset
from tests.proxy import Request, StoreProxy
from tests.refusals import assert_refused

CLIENT = DtoolDserver()
FILES = {"one.txt": b"eins"}
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}


# What others wrote there ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(lab) -> Deposit:
    """A dataset of which only storage is changed."""
    deposit = Deposit(FILES)
    assert CLIENT.upload(lab.alice, lab.base_uri, deposit).status_code == 200
    return deposit


@pytest.fixture
def stranger(lab, make_dserver, bucket) -> Dserver:
    """Another worker of the same dserver, that has not asked the store for anything yet."""
    settings = {name.upper(): value for name, value in lab.bucket.settings().items()}
    return make_dserver(
        SQLALCHEMY_DATABASE_URI=lab.app.config["SQLALCHEMY_DATABASE_URI"], **settings
    )


@pytest.fixture
def put(lab, dataset) -> Iterator[Any]:
    """Write over an object of the dataset for as long as a test runs."""
    s3 = _client(lab)
    before = {}

    def write(key: str, content: bytes) -> None:
        before[key] = s3.get_object(Bucket=lab.bucket.name, Key=key)["Body"].read()
        s3.put_object(Bucket=lab.bucket.name, Key=key, Body=content)

    yield write
    for key, content in before.items():
        s3.put_object(Bucket=lab.bucket.name, Key=key, Body=content)


def _client(dserver: Dserver) -> Any:
    from dserver_signed_url_plugin.demo.store import s3_client

    bucket = dserver.bucket
    return s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key)
