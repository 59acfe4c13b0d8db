"""Items in parts: announced, sent, completed and read; on each store by following the URLs."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import delete

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.models import ItemInParts
from tests.support.clients import Deposit
from tests.support.dserver import Dserver, encoded
from tests.support.parts import (
    CONTENT,
    IDENTIFIER,
    LARGE,
    MIB,
    PART,
    SETTINGS,
    ask,
    begin,
    deposit,
    execute,
    incomplete,
    md5,
    part,
    put_part,
    put_small,
    rows,
    send,
    send_all,
)
from tests.support.proxy import Fault, Instead, Request
from tests.support.request_costs import counted

OTHER = b"\xff" * PART


@pytest.fixture
def dserver(make_dserver_on, place) -> Dserver:
    return make_dserver_on(place, **SETTINGS)


@pytest.fixture
def placed_in_parts(make_dserver_on, place, place_proxy) -> Dserver:
    return make_dserver_on(place, **place_proxy.settings(), **SETTINGS)


@pytest.fixture
def on_s3(make_dserver) -> Dserver:
    return make_dserver(**SETTINGS)


def look(dserver: Dserver, uri: str, **query: object) -> dict:
    return dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}", query_string=query).json


def found_wrong(answer) -> dict:
    assert (answer.status_code, answer.json["errors"]["slug"]) == (400, "upload-incomplete")
    [entry] = answer.json["errors"]["mismatched"]
    assert (entry["relpath"], entry["expected"]["hash"]) == (LARGE, md5(CONTENT))
    return entry


def test_an_item_in_parts_becomes_one_that_is_read_and_verified(dserver, holdings):
    wanted = deposit()
    grant = begin(dserver, wanted)
    entry = grant["upload_urls"]["items"][IDENTIFIER]
    assert entry == {
        "url": None,
        "relpath": LARGE,
        "headers": {},
        "parts": {"size": PART, "count": 2},
    }
    put_small(grant, wanted)
    answer = send_all(dserver.alice, grant["uri"], pinned=True)
    assert (answer["uri"], answer["identifier"]) == (grant["uri"], IDENTIFIER)
    assert (answer["part_size"], answer["count"], answer["stored"]) == (PART, 2, {})
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json["verified"]) == (200, "parts")
    assert dserver.alice.complete(grant["uri"]).json == done.json
    assert (incomplete(dserver), rows(dserver)) == ([], [])
    holdings.check_dataset(dserver, wanted)
    assert holdings.verifies(dserver, wanted)
    # Its part URLs change nothing any more.
    before = holdings.of(wanted.uuid)
    put_part(answer["parts"]["1"], part(1))
    assert holdings.of(wanted.uuid) == before
    refused = ask(dserver.alice, grant["uri"], [1])
    assert (refused.status_code, refused.json["errors"]["slug"]) == (409, "already-registered")


def test_missing_and_short_parts_are_listed_and_can_be_sent_then(dserver, holdings):
    wanted = deposit()
    grant = begin(dserver, wanted)
    uri = grant["uri"]
    nothing = dserver.alice.complete(uri)
    assert LARGE in nothing.json["errors"]["missing"]
    put_small(grant, wanted)
    send(dserver.alice, uri, {1: part(1)[:-1]})
    entry = found_wrong(dserver.alice.complete(uri))
    assert (entry["missing_parts"], entry["missing_parts_total"]) == ([1, 2], 2)
    assert look(dserver, uri)["parts"] == {
        IDENTIFIER: {"relpath": LARGE, "size": PART, "count": 2, "stored": 0}
    }
    # Sent again, which replaces it.
    send(dserver.alice, uri, {1: part(1)}, pinned=True)
    assert found_wrong(dserver.alice.complete(uri))["missing_parts"] == [2]
    status = look(dserver, uri, urls="true")
    assert (status["parts"][IDENTIFIER]["stored"], status["missing"]) == (1, [LARGE])
    assert status["upload"]["upload_urls"]["items"][IDENTIFIER]["url"] is None
    stored = send(dserver.alice, uri, {2: part(2)})["stored"]
    assert stored.keys() == {"1"}
    assert stored["1"]["size_in_bytes"] == PART
    assert stored["1"]["hash"] in (None, md5(part(1)))
    assert dserver.alice.complete(uri).status_code == 200
    holdings.check_dataset(dserver, wanted)


def test_a_pinned_part_refuses_other_bytes(dserver):
    grant = begin(dserver, deposit())
    hashes = {"1": md5(part(1))}
    answer = ask(dserver.alice, grant["uri"], [1], hashes=hashes).json
    assert put_part(answer["parts"]["1"], OTHER).status_code == 400
    assert ask(dserver.alice, grant["uri"], []).json["stored"] == {}


def test_parts_that_the_store_has_dropped_are_begun_anew(dserver, holdings):
    wanted = deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send_all(dserver.alice, grant["uri"])
    with dserver.app.app_context():
        [one] = incomplete(dserver)
        dserver.storage.parts.abort(one)
    assert found_wrong(dserver.alice.complete(grant["uri"]))["missing_parts"] == [1, 2]
    assert send_all(dserver.alice, grant["uri"])["stored"] == {}
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    holdings.check_dataset(dserver, wanted)


def test_a_completion_that_is_cut_off_anywhere_is_repaired_by_the_same_call(
    placed_in_parts, place_proxy, holdings
):
    dserver, wanted = placed_in_parts, deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send_all(dserver.alice, grant["uri"])
    for step in range(1, 100):
        place_proxy.fail(Fault.REFUSED, at=step, until=1_000_000)
        if dserver.alice.complete(grant["uri"]).status_code == 200:
            break
    place_proxy.heal()
    done = dserver.alice.complete(grant["uri"])
    assert (step > 5, done.status_code, done.json["verified"]) == (True, 200, "parts")
    assert rows(dserver) == []
    holdings.check_dataset(dserver, wanted)


def test_what_was_assembled_before_a_crash_is_not_sent_again(
    placed_in_parts, place_proxy, holdings
):
    dserver, wanted = placed_in_parts, deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send_all(dserver.alice, grant["uri"])
    place_proxy.before = lambda request: Fault.REFUSED if request.writes("README.yml") else None
    assert dserver.alice.complete(grant["uri"]).status_code == 502
    place_proxy.heal()
    refused = ask(dserver.alice, grant["uri"], [1])
    assert (refused.status_code, refused.json["errors"]["slug"]) == (409, "item-stored")
    assert look(dserver, grant["uri"])["items"]["stored"] == 2
    assert begin(dserver, wanted)["uri"] == grant["uri"]
    assert dserver.alice.complete(grant["uri"]).json["verified"] == "parts"
    holdings.check_dataset(dserver, wanted)


def test_urls_of_parts_cost_the_same_for_one_part_and_for_a_thousand(make_dserver, proxy):
    dserver = make_dserver(**proxy.settings(), **SETTINGS)
    item = {"relpath": LARGE, "size_in_bytes": 1000 * PART, "hash": "0" * 32}
    plan = {"uuid": deposit().uuid, "name": "large", "items": [item], "multipart": True}
    uri = dserver.alice.begin(dserver.base_uri, plan).json["uri"]
    spent = []
    for numbers in ([1], range(1, 1001)):
        ask(dserver.alice, uri, [1])
        with counted(dserver, proxy) as cost:
            assert len(ask(dserver.alice, uri, numbers).json["parts"]) == len(numbers)
        spent.append((len(cost.requests), len(cost.queries)))
    assert spent[0] == spent[1]
    assert (spent[0][0] <= 2, spent[0][1] <= 16) == (True, True), spent


def test_an_upload_is_resumed_after_the_part_size_was_lowered(on_s3, make_dserver):
    database = on_s3.app.config["SQLALCHEMY_DATABASE_URI"]
    larger = make_dserver(SIGNED_URL_PART_BYTES=64 * MIB, SQLALCHEMY_DATABASE_URI=database)
    item = {"relpath": LARGE, "size_in_bytes": 2 * PART}
    plan = {"uuid": deposit().uuid, "name": "large", "items": [item], "multipart": True}
    assert larger.alice.begin(larger.base_uri, plan).status_code == 200
    again = on_s3.alice.begin(on_s3.base_uri, plan)
    assert again.status_code == 200, again.json
    [entry] = again.json["upload_urls"]["items"].values()
    assert (entry["url"] is None, entry.get("parts")) == (False, None)


def test_the_part_size_stays_although_the_setting_changes(on_s3, make_dserver):
    grant = begin(on_s3, deposit())
    database = on_s3.app.config["SQLALCHEMY_DATABASE_URI"]
    larger = make_dserver(SIGNED_URL_PART_BYTES=64 * 1024**2, SQLALCHEMY_DATABASE_URI=database)
    wanted = deposit()
    again = begin(larger, Deposit(wanted.files, uuid=grant["uuid"], more=wanted.more))
    assert again["upload_urls"]["items"][IDENTIFIER]["parts"] == {"size": PART, "count": 2}
    assert ask(larger.alice, grant["uri"], [2]).json["part_size"] == PART


def test_urls_end_before_a_lifecycle_rule_deletes_the_parts(on_s3, s3):
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}}
    rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": 1}
    s3.put_bucket_lifecycle_configuration(
        Bucket=on_s3.bucket.name, LifecycleConfiguration={"Rules": [rule]}
    )
    uri = begin(on_s3, deposit())["uri"]
    answer = ask(on_s3.alice, uri, [1], expiry_seconds=604_800).json
    assert answer["expiry_limited_by"] == "lifecycle"
    assert 80_000 < answer["expiry_seconds"] <= 2 * 86_400


@pytest.mark.parametrize("way", ["cancelled", "cleaned up"])
def test_what_was_begun_is_aborted_and_its_bytes_are_counted(dserver, way):
    grant = begin(dserver, deposit())
    signed = send(dserver.alice, grant["uri"], {1: part(1)})["parts"]["1"]
    if way == "cancelled":
        path = f"/signed-urls/upload/{encoded(grant['uri'])}"
        freed = dserver.alice.delete(path).json["bytes"]
        refused = ask(dserver.alice, grant["uri"], [1])
        assert (refused.status_code, refused.json["errors"]["slug"]) == (404, "upload-not-found")
    else:
        command = ["cleanup", "--older-than", "0", "--force", "--delete-storage"]
        done = dserver.app.test_cli_runner().invoke(pending_upload, [*command, "--json"])
        assert done.exit_code == 0
        freed = json.loads(done.stdout)["freed"]["bytes"]
    assert PART <= freed < PART + 10_000
    # A part that comes late is not kept.
    assert put_part(signed, part(1)).status_code >= 400
    assert incomplete(dserver) == []


def test_parts_of_no_upload_are_found_and_aborted_by_the_cleanup(dserver):
    grant = begin(dserver, deposit())
    send(dserver.alice, grant["uri"], {1: part(1)})
    command = ["cleanup", "--older-than", "0", "--delete-storage"]
    runner = dserver.app.test_cli_runner()
    known = runner.invoke(pending_upload, command)
    assert "aborted" not in known.stdout
    execute(dserver, delete(ItemInParts))
    for options in (["--dry-run"], ["--dry-run", "--json"]):
        shown = runner.invoke(pending_upload, [*command, *options])
        assert (shown.exit_code, IDENTIFIER in shown.stdout) == (0, True)
    assert len(incomplete(dserver)) == 1
    done = runner.invoke(pending_upload, command)
    assert (done.exit_code, f"aborted ({PART:,} bytes" in done.stdout) == (0, True)
    assert incomplete(dserver) == []


@pytest.mark.parametrize("broken", ["dataset", "parts"])
def test_parts_that_cannot_be_looked_at_do_not_keep_others_from_being_aborted(
    placed_in_parts, place_proxy, broken
):
    dserver = placed_in_parts
    uris = [begin(dserver, deposit())["uri"] for _ in range(3)]
    for uri in uris:
        ask(dserver.alice, uri, [1])
    execute(dserver, delete(ItemInParts))
    uuid, refusal = incomplete(dserver)[0].uuid, Instead(403)

    def refuse(request: Request) -> Instead | None:
        of_parts = "uploadId=" in request.target or "comp=blocklist" in request.target
        refused = uuid in request.target and (of_parts or broken == "dataset")
        return refusal if refused else None

    place_proxy.before = refuse
    command = ["cleanup", "--older-than", "0", "--delete-storage"]
    done = dserver.app.test_cli_runner().invoke(pending_upload, command)
    place_proxy.heal()
    assert done.exit_code == 1
    [failed] = [line for line in done.output.splitlines() if "failed" in line]
    assert uuid in failed
    assert [one.uuid for one in incomplete(dserver)] == [uuid]
