"""A worker that slept, and lost its lease meanwhile, changes nothing in Azure when it wakes up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any

import pytest
import requests
from azure.storage.blob import BlockBlobService
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.azure_accounts import BLOCK_BLOB
from tests.support.azure_holdings import check_dataset, check_documents, containers, content_of
from tests.support.clients import Deposit, DtoolDserver, RelpathsOnly, WithHeaders
from tests.support.dserver import Dserver, Person, encoded
from tests.support.pauses import Sleep, another, at_request, lose_leases
from tests.support.proxy import Fault, Request
from tests.support.s3_holdings import check_readable

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}
SECONDS = 30


@pytest.fixture
def dserver(make_azure_dserver, azure_proxy) -> Dserver:
    return make_azure_dserver(**azure_proxy.settings())


def wait_for_another_second(dserver: Dserver, since: datetime) -> None:
    """Return when the store's clock is past this second, in which it dates what is written."""
    while True:
        answer = requests.get(dserver.place.endpoint, timeout=SECONDS)
        if parsedate_to_datetime(answer.headers["Date"]) > since:
            return


# Completing ----------------------------------------------------------------------------------


def manifest_of(deposit: Deposit, time: float) -> bytes:
    """A manifest as a client may upload it, whose times count for items announced without."""
    items = {
        generate_identifier(path): {
            "hash": hashlib.md5(content).hexdigest(),
            "size_in_bytes": len(content),
            "utc_timestamp": time,
        }
        for path, content in deposit.files.items()
    }
    return json.dumps({"items": items}).encode()


def put_documents(grant: Mapping[str, Any], readme: bytes, manifest: bytes) -> None:
    """PUT both, if there is an upload to put them to."""
    for name, content in (("readme", readme), ("manifest", manifest)):
        answer = requests.put(grant["upload_urls"][name], data=content, timeout=SECONDS)
        assert answer.status_code in (201, 404)


def test_a_completion_that_slept_leaves_readme_and_manifest_as_they_are_registered(
    dserver, azure_proxy, blobs
):
    client = WithHeaders()
    for at in count(1):
        deposit = Deposit(FILES)
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        put_documents(grant, b"first", manifest_of(deposit, 1.5))

        def overtake(grant: Any = grant, deposit: Deposit = deposit) -> TestResponse:
            lose_leases(dserver)
            put_documents(grant, b"second", manifest_of(deposit, 2.5))
            return another(dserver).complete(grant["uri"])

        azure_proxy.forget()
        azure_proxy.before = sleep = Sleep(at_request(at), overtake)
        late = dserver.alice.complete(grant["uri"])
        azure_proxy.heal()
        if not sleep.happened:
            break
        assert sleep.outcome.status_code == 200
        # 502 where it slept before it looked for what was staged, which is gone.
        assert late.status_code in (200, 409, 502), late.json
        check_documents(dserver, blobs, deposit)
        check_readable(dserver, deposit)
        assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert at > 10


class Careless(RelpathsOnly):
    """Returns no header but the one without which Azure takes nothing."""

    def put_items(self, items: Mapping[str, Any], deposit: Deposit) -> None:
        for name, item in items.items():
            content = deposit.content(name)
            assert requests.put(item["url"], content, headers=BLOCK_BLOB, timeout=SECONDS).ok


def test_items_that_completion_dates_anew_have_one_date_in_what_is_registered_and_stored(
    dserver, azure_proxy, blobs
):
    client, deposit = Careless(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    identifier = generate_identifier("two.txt")
    put_at = blobs.get_blob_properties(deposit.uuid, identifier).properties.last_modified
    wait_for_another_second(dserver, since=put_at)

    azure_proxy.before = lambda request: Fault.REFUSED if request.writes("/dtool") else None
    assert dserver.alice.complete(grant["uri"]).status_code == 502
    azure_proxy.heal()
    written = json.loads(content_of(blobs, deposit.uuid, "manifest.json"))["items"]
    assert written[identifier]["utc_timestamp"] == put_at.timestamp()
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    manifest, _ = check_documents(dserver, blobs, deposit)
    assert manifest["items"][identifier]["utc_timestamp"] > put_at.timestamp()


# Removing ------------------------------------------------------------------------------------


def cancel(dserver: Dserver, uri: str) -> None:
    answer = dserver.alice.delete(f"/signed-urls/upload/{encoded(uri)}")
    assert (answer.status_code, "frozen" in answer.json["message"]) == (409, True)


def clean_up(dserver: Dserver, uri: str) -> None:
    command = ["cleanup", "--older-than", "0", "--delete-storage", "--force"]
    answer = dserver.app.test_cli_runner().invoke(pending_upload, command)
    assert (answer.exit_code, "repaired" in answer.stdout) == (0, True)


@pytest.mark.parametrize("remove", [cancel, clean_up])
def test_a_removal_that_slept_deletes_no_dataset_that_another_worker_completed(
    dserver, azure_proxy, blobs, remove: Callable[[Dserver, str], None]
):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)

    def complete() -> TestResponse:
        lose_leases(dserver)
        opened = blobs.get_container_properties(deposit.uuid).properties.last_modified
        # A lease does not end within one.
        wait_for_another_second(dserver, since=opened)
        return another(dserver).complete(grant["uri"])

    azure_proxy.before = sleep = Sleep(lambda request: request.method == "DELETE", complete)
    remove(dserver, grant["uri"])
    azure_proxy.heal()
    assert sleep.outcome.status_code == 200
    check_dataset(dserver, blobs, deposit)


# Anything ------------------------------------------------------------------------------------


def stored(dserver: Dserver, deposit: Deposit, person: Person | None = None) -> str:
    """Begin an upload, as alice or another, and PUT everything; return its URI."""
    grant = DtoolDserver().begin(person or dserver.alice, dserver.base_uri, deposit)
    DtoolDserver().put(grant, deposit)
    return str(grant["uri"])


def facts(blobs: BlockBlobService, deposit: Deposit) -> object:
    """Return what a dataset's container holds, whoever wrote it last."""
    held = containers(blobs, deposit.uuid)[deposit.uuid]
    return held.metadata, {name: replace(blob, etag="") for name, blob in held.blobs.items()}


@pytest.mark.parametrize(("call", "least"), [("begin", 7), ("complete", 9)])
def test_a_request_that_slept_changes_nothing_that_another_worker_completed(
    dserver, azure_proxy, blobs, call, least
):
    for at in count(1):
        deposit, completed = Deposit(FILES), []
        uri = f"{dserver.base_uri}/{deposit.uuid}"
        if call == "complete":
            stored(dserver, deposit)

        def overtake(
            request: Request, at=at, deposit=deposit, uri=uri, completed=completed
        ) -> None:
            if request.number != at or completed:
                return
            completed.append(None)
            lose_leases(dserver)
            other = Person(dserver.app, dserver.tokens["alice"])
            if call == "begin":
                stored(dserver, deposit, other)
            assert other.complete(uri).status_code == 200
            completed.append(facts(blobs, deposit))

        azure_proxy.forget()
        azure_proxy.before = overtake
        if call == "complete":
            late = dserver.alice.complete(uri)
        else:
            late = dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(deposit))
        azure_proxy.heal()
        if not completed:
            break
        # 502 where it slept before it wrote beside the dataset, where nothing is any more.
        assert late.status_code in (200, 409, 502), late.json
        assert facts(blobs, deposit) == completed[-1]
        assert dserver.alice.complete(uri).status_code == 200
        check_readable(dserver, deposit)
    assert at > least
