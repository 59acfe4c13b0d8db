"""Frozen means frozen: what was completed, or was never ours, no upload changes any more."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dtoolcore
import pytest
import requests

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from tests.support.clients import CLIENTS, Deposit, DtoolDserver, each_client
from tests.support.dserver import Dserver, encoded
from tests.support.proxy import Fault, StoreProxy
from tests.support.s3_holdings import check_dataset, holdings, verifies

FILES = {"one.txt": b"eins", "two.txt": b"zwei"}

# What somebody might send beside, or instead of, the headers that came with a URL.
HEADERS: list[Mapping[str, str]] = [
    {},
    {"Content-Type": "text/html"},
    {"If-Match": "*"},
    {"If-None-Match": "*"},
    {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()},
    {"x-amz-meta-handle": "b3RoZXI=", "x-amz-meta-checksum": "0" * 32},
    {"Cache-Control": "no-store"},
]


def old_urls(grant: Mapping[str, Any], deposit: Deposit) -> Iterator[tuple[str, bytes, Any]]:
    """Yield every URL that was handed out, the right bytes for it, and the headers it came with."""
    for identifier, item in grant["upload_urls"]["items"].items():
        yield item["url"], deposit.content(identifier), item["headers"]
    for document in ("readme", "admin_metadata", "manifest", "structure"):
        yield grant["upload_urls"][document], b"{}", {}


def put_everything(grant: Mapping[str, Any], deposit: Deposit) -> int:
    """PUT right and other bytes, with right and other headers; return how many were accepted."""
    accepted = 0
    with requests.Session() as session:
        for url, right, given in old_urls(grant, deposit):
            for content in (right, b"other", b""):
                for headers in with_others(given):
                    answer = session.put(url, data=content, headers=headers, timeout=30)
                    accepted += answer.ok
    return accepted


def with_others(given: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Return each of the other headers alone, and together with those that are given, once."""
    mixed = [
        headers for more in HEADERS for headers in (more, {**given, **more}, {**more, **given})
    ]
    return [headers for at, headers in enumerate(mixed) if headers not in mixed[:at]]


@each_client
def test_no_old_url_changes_a_completed_dataset(dserver, s3, client, dtool_reads):
    deposit = Deposit(FILES, more={"tags": ["tag"], "annotations": {"a": 1}})
    first = client.begin(dserver.alice, dserver.base_uri, deposit)
    resumed = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(resumed, deposit)
    assert dserver.alice.complete(first["uri"]).status_code == 200
    before = holdings(s3, dserver.bucket, deposit.uuid)
    answered = without_signatures(dserver.bob.read(first["uri"]).json)

    # Some are accepted, so that this test knows how to PUT.
    assert put_everything(first, deposit)
    assert put_everything(resumed, deposit)
    assert holdings(s3, dserver.bucket, deposit.uuid) == before
    assert without_signatures(dserver.bob.read(first["uri"]).json) == answered
    assert dserver.alice.complete(first["uri"]).status_code == 200
    assert holdings(s3, dserver.bucket, deposit.uuid) == before
    check_dataset(dserver, s3, deposit)
    assert verifies(dserver, deposit)


def without_signatures(answer: Any) -> Any:
    """Return an answer without what differs from one second to the next."""
    if isinstance(answer, dict):
        return {
            name: without_signatures(value)
            for name, value in answer.items()
            if name != "expiry_timestamp"
        }
    return answer.partition("?")[0] if isinstance(answer, str) else answer


@pytest.mark.parametrize("completed", [False, True], ids=["pending", "completed"])
def test_a_pinned_url_refuses_other_bytes(dserver, s3, completed):
    client, deposit = DtoolDserver(), Deposit(FILES)
    grant = client.begin(dserver.alice, dserver.base_uri, deposit)
    client.put(grant, deposit)
    if completed:
        assert dserver.alice.complete(grant["uri"]).status_code == 200
    for item in grant["upload_urls"]["items"].values():
        refused = requests.put(item["url"], data=b"other", headers=item["headers"], timeout=30)
        assert (refused.status_code, "BadDigest" in refused.text) == (400, True)
        for headers in ({}, {**item["headers"], "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}):
            refused = requests.put(item["url"], data=b"", headers=headers, timeout=30)
            assert (refused.status_code, "SignatureDoesNotMatch" in refused.text) == (403, True)
    dserver.alice.complete(grant["uri"])
    check_dataset(dserver, s3, deposit)


@each_client
def test_nobody_reads_what_was_put_through_a_staged_url_too_late(make_dserver, bucket, client):
    with StoreProxy(bucket) as proxy:
        dserver = make_dserver(**proxy.settings())
        deposit = Deposit(FILES)
        grant = client.begin(dserver.alice, dserver.base_uri, deposit)
        client.put(grant, deposit)
        assert dserver.alice.complete(grant["uri"]).status_code == 200
        put_everything(grant, deposit)

        proxy.forget()
        read = dserver.bob.read(grant["uri"])
        for identifier in read.json["item_urls"]:
            assert dserver.bob.read_item(grant["uri"], identifier).status_code == 200
        assert dserver.alice.complete(grant["uri"]).status_code == 200
        assert dserver.alice.begin(dserver.base_uri, client.plan(deposit)).status_code == 409
        assert proxy.requests
        assert not [request for request in proxy.requests if "upload" in request.target]
        assert "/upload/" not in read.text


def dtool_dataset(dserver: Dserver, tmp_path: Path, frozen: bool) -> str:
    """Put a dataset into the store as dtool does, past dserver; return its UUID."""
    item = tmp_path / "item.txt"
    item.write_text("somebody's work")
    admin_metadata = dtoolcore.generate_admin_metadata("theirs", "somebody")
    proto = dtoolcore.generate_proto_dataset(admin_metadata, dserver.base_uri)
    proto.create()
    proto.put_readme("theirs")
    proto.put_item(str(item), "item.txt")
    if frozen:
        proto.freeze()
    return proto.uuid


each_client_of_each_store = pytest.mark.parametrize(
    ("place", "client"),
    [*(("bucket", client) for client in CLIENTS), ("account", DtoolDserver())],
    indirect=["place"],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "proto-dataset"])
@each_client_of_each_store
def test_what_dtool_put_into_the_store_is_not_touched(placed, holdings, client, tmp_path, frozen):
    with holdings.dtool(writes=True):
        uuid = dtool_dataset(placed, tmp_path, frozen)
    before, sizes = holdings.of(uuid), holdings.sizes(uuid)
    assert len(sizes) > 4
    plan = client.plan(Deposit({"item.txt": b"mine"}, uuid=uuid))
    for person in (placed.alice, placed.carol, placed.alice):
        answer = person.begin(placed.base_uri, plan)
        assert answer.status_code == 409
        assert "Storage already holds" in answer.json["message"]
        assert person.complete(f"{placed.base_uri}/{uuid}").status_code == 400
    assert (holdings.of(uuid), holdings.sizes(uuid)) == (before, sizes)


@each_client_of_each_store
def test_what_somebody_uploads_through_another_dserver_is_not_touched(
    make_dserver_on, place, holdings, client
):
    mine, theirs = make_dserver_on(place), make_dserver_on(place)
    deposit = Deposit(FILES)
    grant = client.begin(theirs.carol, theirs.base_uri, deposit)
    before = holdings.of(deposit.uuid)
    assert before
    assert mine.alice.begin(mine.base_uri, client.plan(deposit)).status_code == 409
    assert holdings.of(deposit.uuid) == before
    client.put(grant, deposit)
    assert theirs.carol.complete(grant["uri"]).status_code == 200
    holdings.check_dataset(theirs, deposit)


@pytest.mark.parametrize("remove", ["cancel", "cleanup"])
def test_what_is_somebody_elses_stays_when_an_upload_that_never_opened_is_removed(
    make_dserver, proxy, s3, tmp_path, dtool_reads, remove
):
    dserver = make_dserver(**proxy.settings())
    uuid = dtool_dataset(dserver, tmp_path, frozen=False)
    before = holdings(s3, dserver.bucket, uuid)
    proxy.before = lambda request: Fault.REFUSED
    deposit = Deposit({"item.txt": b"mine"}, uuid=uuid)
    assert dserver.alice.begin(dserver.base_uri, DtoolDserver().plan(deposit)).status_code == 502
    proxy.heal()
    if remove == "cancel":
        uri = f"{dserver.base_uri}/{uuid}"
        assert dserver.alice.delete(f"/signed-urls/upload/{encoded(uri)}").status_code == 200
    else:
        arguments = ["cleanup", "--older-than", "0", "--delete-storage", "--json"]
        done = dserver.app.test_cli_runner().invoke(pending_upload, arguments)
        assert done.exit_code == 0
        assert json.loads(done.stdout)["freed"] == {"objects": 0, "bytes": 0}
    assert holdings(s3, dserver.bucket, uuid) == before
