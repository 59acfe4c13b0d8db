"""Storage that is not as expected: what others wrote there, what it cannot do, where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from dtoolcore.utils import generate_identifier

from tests.support.clients import Deposit, DtoolDserver, each_client
from tests.support.dserver import Dserver, in_capitals
from tests.support.proxy import Request, StoreProxy
from tests.support.refusals import assert_refused, nothing_is_written
from tests.support.s3_holdings import check_dataset

CLIENT = DtoolDserver()
FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
ONE = generate_identifier("one.txt")
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}


# What others wrote there ---------------------------------------------------------------------


@pytest.fixture
def deposit(dserver) -> Deposit:
    """A dataset in storage and register."""
    made = Deposit(FILES)
    assert CLIENT.upload(dserver.alice, dserver.base_uri, made).status_code == 200
    return made


@pytest.fixture
def worker(dserver, deposit, make_dserver) -> Dserver:
    """Another worker of the same dserver, who has not asked the store for anything yet."""
    return make_dserver(SQLALCHEMY_DATABASE_URI=dserver.app.config["SQLALCHEMY_DATABASE_URI"])


PREFIXES = {
    "not UTF-8": b"u/\xff/",
    "half of a surrogate pair": b"u/\xed\xa0\x80/",
    "newline": b"u/alice/\n",
    "NUL": b"\x00",
    "too long": b"u" * 1025,
}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_a_registration_key_that_starts_no_key_is_said_to_be_unreadable(
    worker, deposit, s3, prefix
):
    s3.put_object(Bucket=worker.bucket.name, Key=f"dtool-{deposit.uuid}", Body=prefix)
    uri = f"{worker.base_uri}/{deposit.uuid}"
    for answer in (worker.bob.read(uri), worker.bob.read_item(uri, ONE)):
        assert_refused(answer, 502, "registration key", deposit.uuid)


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_an_upload_is_not_opened_at_an_unreadable_registration_key(dserver, s3, prefix):
    deposit = Deposit(FILES)
    key = f"dtool-{deposit.uuid}"
    s3.put_object(Bucket=dserver.bucket.name, Key=key, Body=prefix)
    answer = dserver.alice.begin(dserver.base_uri, CLIENT.plan(deposit))
    assert_refused(answer, 502, "registration key", deposit.uuid)
    listed = s3.list_objects_v2(Bucket=dserver.bucket.name)["Contents"]
    assert [entry["Key"] for entry in listed] == [key]


MANIFESTS = {
    "nothing": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"items": {"\xff": 1}}',
    "list": b"[]",
    "number": b"7",
    "null": b"null",
    "without items": b"{}",
    "items are a list": b'{"items": []}',
    "items are a list of pairs": b'{"items": [["a", 1]]}',
    "items are text": b'{"items": "abc"}',
    "items are null": b'{"items": null}',
    "nested deeply": b"[" * 200_000,
    "items nested deeply": b'{"items": ' + b'{"a":' * 100_000,
    "very long number": b'{"items": ' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_without_items_is_said_to_be_unreadable(dserver, deposit, s3, manifest):
    key = f"{deposit.uuid}/manifest.json"
    s3.put_object(Bucket=dserver.bucket.name, Key=key, Body=manifest)
    answer = dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}")
    assert_refused(answer, 502, "manifest", deposit.uuid)


# What it cannot do ---------------------------------------------------------------------------


class OldStore(StoreProxy):
    """A store that has not followed AWS in writing only where there is nothing yet."""

    REFUSAL = b"<Error><Code>NotImplemented</Code><Message>If-None-Match</Message></Error>"

    def __enter__(self) -> OldStore:
        super().__enter__()
        usual: Any = self._server.RequestHandlerClass

        class Handler(usual):
            def _ask(self, request: Request, body: bytes) -> Any:
                if "if-none-match" in request.headers:
                    return 501, {"Content-Type": "application/xml"}, OldStore.REFUSAL
                return super()._ask(request, body)

        self._server.RequestHandlerClass = Handler
        return self

    @property
    def refused(self) -> list[Request]:
        return [request for request in self.requests if "if-none-match" in request.headers]


@pytest.fixture
def old_store(bucket) -> Iterator[OldStore]:
    with OldStore(bucket) as running:
        yield running


@each_client
def test_a_store_without_conditional_writes_takes_uploads(make_dserver, old_store, s3, client):
    files = {**FILES, "empty.dat": b""}
    dserver, deposit = make_dserver(**old_store.settings()), Deposit(files, more=DESCRIPTIONS)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    # The admin metadata, and empty items that the client need not send.
    conditional = 1 + len(files) - len(grant["upload_urls"]["items"])
    assert [request.method for request in old_store.refused] == ["PUT"] * conditional
    assert dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}").status_code == 200
    check_dataset(dserver, s3, deposit)


# Where it is said to be ----------------------------------------------------------------------

SECRET = "geheim"
ADDRESSES = {
    "no scheme": "127.0.0.1:{port}",
    "other scheme": "ftp://127.0.0.1:{port}",
    "no host": "http://",
    "space": "http://a b",
    "query": f"http://127.0.0.1:{{port}}/?token={SECRET}",
    "user": f"http://user:{SECRET}@127.0.0.1:{{port}}",
    "number": 9000,
    "list": ["http://127.0.0.1:{port}"],
}


@pytest.mark.parametrize("kind", ["ENDPOINT", "PUBLIC_ENDPOINT"])
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_endpoint_that_dtools_file_gets_wrong_later_is_a_sentence(
    make_dserver, bucket, tmp_path, caplog, kind, address
):
    file = tmp_path / "dtool.json"
    file.write_text("{}")
    # What Flask's config says comes first, so that it must say nothing.
    nothing = dict.fromkeys(in_capitals(bucket.settings()), "")
    dserver = make_dserver(DTOOL_CONFIG_PATH=str(file), **nothing)
    if isinstance(address, str):
        address = address.format(port=bucket.endpoint.rpartition(":")[2])
    file.write_text(
        json.dumps({**bucket.settings(), f"DTOOL_S3_{kind}_{bucket.name}": address}),
    )
    with nothing_is_written(dserver):
        for _ in range(2):
            answer = dserver.alice.begin(dserver.base_uri, CLIENT.plan(Deposit(FILES)))
            assert_refused(answer, 502, bucket.name)
            assert SECRET not in answer.text + caplog.text


def test_an_endpoint_of_dtools_file_is_used_from_then_on(make_dserver, bucket, tmp_path, s3):
    file = tmp_path / "dtool.json"
    file.write_text("{}")
    nothing = dict.fromkeys(in_capitals(bucket.settings()), "")
    dserver = make_dserver(DTOOL_CONFIG_PATH=str(file), **nothing)
    file.write_text(json.dumps(bucket.settings()))
    deposit = Deposit(FILES)
    assert CLIENT.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    check_dataset(dserver, s3, deposit)
