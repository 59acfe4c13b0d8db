"""Items in parts: announced, sent, completed and read; on each store by following the URLs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
import requests
from dservercore import sql_db
from sqlalchemy import delete, select, update

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.models import ItemInParts, PendingUpload
from tests.support.clients import Deposit, DserverClientJS
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded
from tests.support.parts import (
    CONTENT,
    IDENTIFIER,
    LARGE,
    PART,
    SETTINGS,
    ask,
    begin,
    deposit,
    md5,
    part,
    put_part,
    put_small,
    send,
    send_all,
)
from tests.support.proxy import Fault, Instead, Request
from tests.support.request_costs import counted
from tests.support.s3_holdings import check_dataset

OTHER = b"\xff" * PART


@pytest.fixture
def dserver(make_dserver_on, place) -> Dserver:
    return make_dserver_on(place, **SETTINGS)


@pytest.fixture
def placed_in_parts(make_dserver_on, place, place_proxy) -> Dserver:
    return make_dserver_on(place, **place_proxy.settings(), **SETTINGS)


@pytest.fixture
def on_s3_proxied(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings(), **SETTINGS)


@pytest.fixture
def on_s3(make_dserver) -> Dserver:
    return make_dserver(**SETTINGS)


def look(dserver: Dserver, uri: str, **query: object) -> dict:
    return dserver.alice.get(f"/signed-urls/upload/{encoded(uri)}", query_string=query).json


def rows(dserver: Dserver) -> list[tuple]:
    with dserver.app.app_context():
        columns = (ItemInParts.identifier, ItemInParts.upload_id, ItemInParts.assembled_md5)
        return [tuple(row) for row in sql_db.session.execute(select(*columns))]


def execute(dserver: Dserver, statement: object) -> None:
    with dserver.app.app_context():
        sql_db.session.execute(statement)
        sql_db.session.commit()


def incomplete(dserver: Dserver) -> list:
    """What the store keeps of parts."""
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with dserver.app.app_context():
        return list(dserver.storage.parts.incomplete(tomorrow))


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


@on_each_database
def test_two_requests_at_once_share_one_upload_id(dserver):
    grant = begin(dserver, deposit())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: ask(dserver.alice, grant["uri"], [n]), [1, 2, 1, 2]))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(rows(dserver)) == 1
    assert [one.upload_id for one in incomplete(dserver)] == [rows(dserver)[0][1]]


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


def test_a_part_that_is_sent_again_while_it_is_assembled_is_not_taken(on_s3_proxied, proxy, s3):
    """Listed are the right parts; before they are assembled, another takes the place of one."""
    dserver, wanted = on_s3_proxied, deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    signed = send_all(dserver.alice, grant["uri"])["parts"]["1"]

    def send_another(request: Request) -> None:
        if request.method == "POST" and "uploadId=" in request.target:
            proxy.heal()
            assert put_part(signed, OTHER).ok

    proxy.before = send_another
    answer = dserver.alice.complete(grant["uri"])
    assert answer.status_code == 400
    assert answer.json["errors"]["missing"] == [LARGE]
    # The bytes have the right size, and their MD5 was not pinned: they are what the client sent.
    send(dserver.alice, grant["uri"], {1: part(1)})
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    check_dataset(dserver, s3, wanted)


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


def test_of_a_whole_item_and_its_parts_the_right_one_wins(dserver, holdings):
    wanted = deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send(dserver.alice, grant["uri"], {1: OTHER, 2: part(2)})
    whole = begin(dserver, Deposit(wanted.files, uuid=wanted.uuid))
    entry = whole["upload_urls"]["items"][IDENTIFIER]
    assert requests.put(entry["url"], CONTENT, headers=entry["headers"], timeout=30).ok
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json.get("verified")) == (200, None)
    assert incomplete(dserver) == []
    holdings.check_dataset(dserver, wanted)


def test_right_parts_win_over_a_wrong_whole_item(on_s3, s3):
    wanted = deposit()
    # This client's URLs are not pinned, so that it can send other bytes.
    client = DserverClientJS()
    grant = client.begin(on_s3.alice, on_s3.base_uri, wanted)
    put_small(grant, wanted)
    whole = client.begin(on_s3.alice, on_s3.base_uri, Deposit(wanted.files, uuid=wanted.uuid))
    entry = whole["upload_urls"]["items"][IDENTIFIER]
    assert requests.put(entry["url"], b"wrong", timeout=30).ok
    send_all(on_s3.alice, grant["uri"])
    done = on_s3.alice.complete(grant["uri"])
    assert (done.status_code, done.json["verified"]) == (200, "parts")


@pytest.mark.parametrize("order", ["whole first", "parts first"])
def test_no_url_of_a_whole_item_changes_one_whose_parts_were_others(on_s3, s3, order):
    """The parts are not those of the announced MD5, which is that of the bytes sent later."""
    wanted = deposit()
    whole = Deposit(wanted.files, uuid=wanted.uuid)
    for each in (whole, wanted) if order == "whole first" else (wanted, whole):
        grant = begin(on_s3, each)
        if each is whole:
            entry = grant["upload_urls"]["items"][IDENTIFIER]
    put_small({"upload_urls": {**grant["upload_urls"], "items": {
        name: item for name, item in grant["upload_urls"]["items"].items() if name != IDENTIFIER
    }}}, wanted)  # fmt: skip
    send(on_s3.alice, grant["uri"], {1: OTHER, 2: part(2)})
    done = on_s3.alice.complete(grant["uri"])
    if order == "whole first":
        assert (done.status_code, done.json["errors"]["slug"]) == (409, "urls-alive")
        assert int(done.headers["Retry-After"]) > 0
        past = datetime.now(timezone.utc) - timedelta(seconds=1)
        execute(on_s3, update(PendingUpload).values(pinned_until=past))
        done = on_s3.alice.complete(grant["uri"])
        assert done.status_code == 200
        return
    assert done.status_code == 200
    key = f"{wanted.uuid}/data/{IDENTIFIER}"
    before = s3.head_object(Bucket=on_s3.bucket.name, Key=key)["ETag"]
    requests.put(entry["url"], CONTENT, headers=entry["headers"], timeout=30)
    assert s3.head_object(Bucket=on_s3.bucket.name, Key=key)["ETag"] == before


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


def test_only_the_uploader_or_an_admin_gets_urls_of_parts(on_s3):
    grant = begin(on_s3, deposit())
    uri = grant["uri"]
    bad = {"numbers": "no list"}
    path = f"/signed-urls/parts/{encoded(uri)}/{IDENTIFIER}"
    assert (
        ask(on_s3.nobody, uri, [1]).status_code == on_s3.nobody.post(path, bad).status_code == 401
    )
    assert ask(on_s3.bob, uri, [1]).status_code == on_s3.bob.post(path, bad).status_code == 403
    carol = ask(on_s3.carol, uri, [1])
    assert (carol.status_code, carol.json["errors"]["slug"]) == (403, "not-uploader")
    assert ask(on_s3.admin, uri, [1]).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "numbers"),
        ({"numbers": [0]}, 422, "numbers"),
        ({"numbers": [3]}, 422, "numbers"),
        ({"numbers": [1, 1]}, 422, "numbers"),
        ({"numbers": list(range(1, 1002))}, 422, "numbers"),
        ({"numbers": ["1"]}, 422, "numbers"),
        ({"numbers": [1], "hashes": {"1": "abc"}}, 422, "hashes"),
        ({"numbers": [1], "hashes": {"2": "0" * 32}}, 422, "hashes.2"),
        ({"numbers": [1], "expiry_seconds": 604_801}, 422, "expiry_seconds"),
        ({"numbers": [1], "more": 1}, 422, "more"),
    ],
)
def test_a_bad_request_names_the_field(parts_lab, body, status, field):
    dserver, uri = parts_lab
    answer = dserver.alice.post(f"/signed-urls/parts/{encoded(uri)}/{IDENTIFIER}", body)
    assert answer.status_code == status, answer.json
    assert any(name.startswith(field) for name in answer.json["errors"]), answer.json


@pytest.fixture(scope="module")
def parts_lab(lab) -> tuple[Dserver, str]:
    """A dserver with the default part size, and a pending upload with an item of two parts."""
    item = {"relpath": LARGE, "size_in_bytes": 100 * 1024**2, "hash": "0" * 32}
    plan = {"uuid": deposit().uuid, "name": "large", "items": [item], "multipart": True}
    return lab, lab.alice.begin(lab.base_uri, plan).json["uri"]


@pytest.mark.parametrize(
    "identifier",
    ["{", "%22", "%5C", "%00", f"{IDENTIFIER}%22.%22relpath", IDENTIFIER.upper(), "0" * 300],
)
def test_what_is_no_identifier_is_of_no_item(parts_lab, identifier):
    dserver, uri = parts_lab
    answer = ask(dserver.alice, uri, [1], identifier)
    assert (answer.status_code, answer.json["errors"]["slug"]) == (404, "item-not-found")


def test_an_item_that_is_sent_whole_or_unknown_has_no_parts(parts_lab):
    dserver, uri = parts_lab
    unknown = ask(dserver.alice, uri, [1], "0" * 40)
    assert (unknown.status_code, unknown.json["errors"]["slug"]) == (404, "item-not-found")
    plan = {"uuid": deposit().uuid, "name": "small", "items": [{"relpath": LARGE}]}
    small = dserver.alice.begin(dserver.base_uri, {**plan, "multipart": True}).json["uri"]
    answer = ask(dserver.alice, small, [1])
    assert (answer.status_code, "multipart: true" in answer.json["message"]) == (400, True)


@pytest.mark.parametrize(
    ("item", "multipart", "field", "words"),
    [
        ({"size_in_bytes": 5 * 1024**3 + 1, "hash": "0" * 32}, False, "size", "multipart: true"),
        ({"size_in_bytes": 5 * 1024**4 + 1, "hash": "0" * 32}, True, "size", "can be assembled"),
        ({"size_in_bytes": 5 * 1024**3 + 1}, True, "hash", "is required"),
        ({"size_in_bytes": 5 * 1024**4, "hash": "0" * 32}, True, None, ""),
    ],
)
def test_an_item_that_cannot_be_sent_is_refused_with_what_to_do(
    parts_lab, item, multipart, field, words
):
    dserver, _ = parts_lab
    items = [{"relpath": LARGE, **item}]
    plan = {"uuid": deposit().uuid, "name": "large", "items": items, "multipart": multipart}
    answer = dserver.alice.begin(dserver.base_uri, plan)
    if field is None:
        assert answer.status_code == 200
        [entry] = answer.json["upload_urls"]["items"].values()
        assert (entry["parts"]["count"] <= 10_000, entry["url"]) == (True, None)
        return
    assert answer.status_code == 400
    [name] = answer.json["errors"].keys() - {"slug"}
    assert (name.startswith(f"items.0.{field}"), words in answer.json["message"]) == (True, True)
