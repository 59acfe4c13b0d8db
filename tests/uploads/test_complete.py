"""Completing an upload that the index did not take, or of which something is missing or wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from dservercore import ValidationError
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.uploads.readmes import MAX_README_BYTES
from tests.support.audit_records import rows
from tests.support.clients import (
    README,
    Deposit,
    DserverClientJS,
    each_client,
)
from tests.support.dserver import Dserver
from tests.support.logged_secrets import kept_out_of_the_log
from tests.support.s3_holdings import check_dataset
from tests.support.store_fixtures import each_client_and_store

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
ONE = generate_identifier("one.txt")


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog, bucket) -> Iterator[None]:
    with kept_out_of_the_log(bucket, caplog):
        yield


class FailsOnce:
    """A search plugin whose database is away once."""

    def __init__(self, plugin: Any, error: Exception) -> None:
        self._plugin, self._errors = plugin, [error]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plugin, name)

    def register_dataset(self, info: Any) -> None:
        if self._errors:
            raise self._errors.pop()
        self._plugin.register_dataset(info)


@pytest.mark.parametrize("error", [RuntimeError("pass%word"), ValidationError("pass%word")])
@pytest.mark.parametrize("readme_again", [False, True], ids=["", "with-another-readme"])
@each_client
def test_an_upload_that_was_not_registered_is_finished_with_its_readme(
    dserver, s3, client, readme_again, error
):
    deposit = Deposit(FILES)
    dserver.app.search = FailsOnce(dserver.app.search, error)
    answer = client.upload(dserver.alice, dserver.base_uri, deposit)
    assert (answer.status_code, "index did not take it" in answer.json["message"]) == (502, True)
    assert "pass%word" not in answer.text
    assert dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}").status_code == 404

    again = client.begin(dserver.alice, dserver.base_uri, deposit)
    if readme_again:
        assert requests.put(again["upload_urls"]["readme"], data="other", timeout=30).ok
    assert dserver.alice.complete(again["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit, README)


def test_the_audit_says_verified_of_the_completion_that_has_verified(dserver):
    deposit = Deposit(FILES)
    uri = DserverClientJS().upload(dserver.alice, dserver.base_uri, deposit).json["uri"]
    assert dserver.alice.complete(uri).status_code == 200
    completions = [row for row in rows(dserver) if row["action"] == "upload-complete"]
    assert [row["verified"] for row in completions] == ["md5", None]


def uploads(s3: Any, dserver: Dserver, uuid: str) -> list[str]:
    prefix = f"{uuid}/upload/"
    found = s3.list_objects_v2(Bucket=dserver.bucket.name, Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]


@each_client_and_store
def test_an_upload_deleted_behind_our_back_can_be_announced_again(placed, holdings, client):
    deposit = Deposit(FILES)
    grant = client.begin(placed.alice, placed.base_uri, deposit)
    client.put(grant, deposit)
    holdings.delete(deposit.uuid)
    for _ in range(2):
        answer = placed.alice.complete(grant["uri"])
        assert answer.status_code == 400
        assert "announce the same upload again" in answer.json["message"]
    assert client.upload(placed.alice, placed.base_uri, deposit).status_code == 200
    holdings.check_dataset(placed, deposit)


def said(content: bytes) -> dict[str, Any]:
    return {"size_in_bytes": len(content), "hash": hashlib.md5(content).hexdigest()}


def test_a_report_names_what_is_missing_and_what_differs(dserver, s3):
    client, deposit = DserverClientJS(), Deposit({**FILES, "three.txt": b"drei"})
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, Deposit({**FILES, "two.txt": b"zwo", "three.txt": b"drei"}, readme=None))
    s3.delete_object(
        Bucket=dserver.bucket.name,
        Key=next(key for key in uploads(s3, dserver, deposit.uuid) if key.endswith(ONE)),
    )
    for _ in range(2):
        answer = dserver.alice.complete(grant["uri"])
        assert answer.status_code == 400
        assert answer.json["errors"] == {
            "slug": "upload-incomplete",
            "missing": ["one.txt"],
            "mismatched": [
                {"relpath": "two.txt", "expected": said(b"zwei"), "found": said(b"zwo")}
            ],
            "missing_total": 1,
            "mismatched_total": 1,
        }
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize("kind", ["missing", "mismatched"])
def test_a_long_report_names_the_first_hundred_and_the_total(dserver, kind):
    client = DserverClientJS()
    deposit = Deposit({f"{number:03}": b"%d" % number for number in range(150)})
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    if kind == "mismatched":
        client.put(grant, Deposit(dict.fromkeys(deposit.files, b"else")))
    answer = dserver.alice.complete(grant["uri"])
    errors = answer.json["errors"]
    other = {"missing": "mismatched", "mismatched": "missing"}[kind]
    assert answer.status_code == 400
    assert (errors[f"{kind}_total"], len(errors[kind])) == (150, 100)
    assert (errors[f"{other}_total"], errors[other]) == (0, [])
    words = {"missing": "150 items missing", "mismatched": "150 items different"}
    assert words[kind] in answer.json["message"]


@pytest.mark.parametrize(
    "readme", [b"\xff\xfe", b"x" * (MAX_README_BYTES + 1)], ids=["not-utf-8", "too-large"]
)
@each_client
def test_a_readme_that_cannot_be_kept_is_refused_and_can_be_put_again(dserver, s3, client, readme):
    deposit = Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    assert requests.put(grant["upload_urls"]["readme"], data=readme, timeout=30).ok
    for _ in range(2):
        answer = dserver.alice.complete(grant["uri"])
        assert (answer.status_code, answer.json["errors"].keys()) == (400, {"readme", "slug"})
    assert dserver.bob.read(grant["uri"]).status_code == 404
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)
