"""Store, index or client fail in the middle: a sentence, and the call repeated works."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import requests
from dservercore import ValidationError
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.uploads.complete import MOST_README_BYTES
from tests.support.clients import (
    README,
    Deposit,
    DserverClientJS,
    DtoolDserver,
    RelpathsOnly,
    each_client,
)
from tests.support.dserver import Dserver
from tests.support.proxy import Fault
from tests.support.s3_holdings import check_dataset, verifies

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
DESCRIPTIONS = {"tags": ["tag"], "annotations": {"a": 1}}
ONE = generate_identifier("one.txt")
FOREVER = 1_000_000

Call = Callable[[], TestResponse]


@pytest.fixture
def dserver(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings())


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog, bucket) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "dserver_signed_url_plugin")
    yield
    said = "\n".join(line.getMessage() for line in caplog.get_records("call"))
    for secret in (bucket.access_key, bucket.secret_key, "X-Amz-Signature"):
        assert secret not in said


def reading(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    if dserver.alice.complete(f"{dserver.base_uri}/{deposit.uuid}").status_code != 200:
        assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return lambda: dserver.bob.read(f"{dserver.base_uri}/{deposit.uuid}")


def reading_an_item(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    reading(dserver, client, deposit)
    return lambda: dserver.bob.read_item(f"{dserver.base_uri}/{deposit.uuid}", ONE)


def beginning(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    return lambda: dserver.alice.begin(dserver.base_uri, client.plan(deposit))


def completing(dserver: Dserver, client: DtoolDserver, deposit: Deposit) -> Call:
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    return lambda: dserver.alice.complete(grant["uri"])


def check_refused(dserver: Dserver, answer: TestResponse) -> None:
    """Fail unless the answer is a sentence, and nothing that only the server should know."""
    assert answer.status_code == 502, answer.text
    assert answer.json.keys() == {"code", "status", "message"}
    assert answer.json["message"].startswith(f"The store of {dserver.bucket.name} ")
    assert answer.json["message"].endswith(".")
    for secret in (dserver.bucket.access_key, dserver.bucket.secret_key, "Traceback", "http"):
        assert secret not in answer.text


def finish(dserver: Dserver, client: DtoolDserver, deposit: Deposit, s3: Any) -> None:
    """Go through with the upload, if it is not done yet, and look at the dataset."""
    reading(dserver, client, deposit)
    check_dataset(dserver, s3, deposit)


@pytest.mark.parametrize(
    ("call", "client", "least"),
    [
        (reading, DtoolDserver(), 4),
        (reading_an_item, DtoolDserver(), 1),
        (beginning, DtoolDserver(), 7),
        (completing, DtoolDserver(), 7),
        (completing, DserverClientJS(), 10),
        (completing, RelpathsOnly(), 11),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_call_that_the_store_refused_at_any_request_can_be_repeated(
    dserver, proxy, s3, call, client, least, dtool_reads
):
    for at in count(1):
        deposit = Deposit(FILES, more=DESCRIPTIONS)
        act = call(dserver, client, deposit)
        proxy.fail(Fault.REFUSED, at)
        answer = act()
        refused = proxy.requests[at - 1 : at]
        proxy.heal()
        if not refused:
            assert answer.status_code == 200
            break
        if "?lifecycle" in refused[0].target:
            # A server that may not read the rules goes without them.
            assert answer.status_code == 200
            continue
        check_refused(dserver, answer)
        assert act().status_code == 200
        finish(dserver, client, deposit, s3)
    finish(dserver, client, deposit, s3)
    assert verifies(dserver, deposit)
    assert at > least


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.DROPPED])
@pytest.mark.parametrize(
    ("call", "at"), [(reading, 1), (reading_an_item, 1), (beginning, 2), (completing, 5)]
)
def test_a_call_during_which_the_store_went_away_can_be_repeated(
    dserver, proxy, s3, fault, call, at
):
    client, deposit = DserverClientJS(), Deposit(FILES)
    act = call(dserver, client, deposit)
    proxy.fail(fault, at, until=FOREVER)
    check_refused(dserver, act())
    proxy.heal()
    assert act().status_code == 200
    finish(dserver, client, deposit, s3)


def test_one_dropped_connection_is_not_worth_a_word(dserver, proxy, s3):
    client, deposit = DserverClientJS(), Deposit(FILES)
    act = completing(dserver, client, deposit)
    proxy.fail(Fault.DROPPED, at=3)
    assert act().status_code == 200
    check_dataset(dserver, s3, deposit)


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


def uploads(s3: Any, dserver: Dserver, uuid: str) -> list[str]:
    prefix = f"{uuid}/upload/"
    found = s3.list_objects_v2(Bucket=dserver.bucket.name, Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]


@each_client
def test_an_upload_deleted_behind_our_back_can_be_announced_again(dserver, s3, client):
    deposit = Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    for entry in s3.list_objects_v2(Bucket=dserver.bucket.name)["Contents"]:
        s3.delete_object(Bucket=dserver.bucket.name, Key=entry["Key"])
    for _ in range(2):
        answer = dserver.alice.complete(grant["uri"])
        assert answer.status_code == 400
        assert "announce the same upload again" in answer.json["message"]
    assert client.upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    check_dataset(dserver, s3, deposit)


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
    words = {"missing": "150 item(s) are missing", "mismatched": "150 differ"}
    assert words[kind] in answer.json["message"]


@pytest.mark.parametrize(
    "readme", [b"\xff\xfe", b"x" * (MOST_README_BYTES + 1)], ids=["not-utf-8", "too-large"]
)
@each_client
def test_a_readme_that_cannot_be_kept_is_refused_and_can_be_put_again(dserver, s3, client, readme):
    deposit = Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    assert requests.put(grant["upload_urls"]["readme"], data=readme, timeout=30).ok
    for _ in range(2):
        answer = dserver.alice.complete(grant["uri"])
        assert (answer.status_code, answer.json["errors"].keys()) == (400, {"readme"})
    assert dserver.bob.read(grant["uri"]).status_code == 404
    client.put(grant, deposit)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, deposit)
