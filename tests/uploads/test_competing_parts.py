"""Items in parts, when another request, other parts or the whole item compete with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import event, update

from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.clients import Deposit, DserverClientJS
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.parts import (
    CONTENT,
    IDENTIFIER,
    LARGE,
    PART,
    SETTINGS,
    ask,
    begin,
    deposit,
    execute,
    incomplete,
    part,
    put_part,
    put_small,
    rows,
    send,
    send_all,
)
from tests.support.proxy import Fault, Request
from tests.support.s3_holdings import check_dataset
from tests.support.search_plugins import Index

OTHER = b"\xff" * PART


@pytest.fixture
def dserver(make_dserver_on, place) -> Dserver:
    return make_dserver_on(place, **SETTINGS)


@pytest.fixture
def on_s3_proxied(make_dserver, proxy) -> Dserver:
    return make_dserver(**proxy.settings(), **SETTINGS)


@pytest.fixture
def on_s3(make_dserver) -> Dserver:
    return make_dserver(**SETTINGS)


@on_each_database
def test_two_requests_at_once_share_one_upload_id(dserver):
    grant = begin(dserver, deposit())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: ask(dserver.alice, grant["uri"], [n]), [1, 2, 1, 2]))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(rows(dserver)) == 1
    assert [one.upload_id for one in incomplete(dserver)] == [rows(dserver)[0][1]]


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


def test_an_item_that_is_sent_whole_after_its_assembly_failed_leaves_no_parts(
    on_s3_proxied, proxy, s3
):
    dserver, wanted = on_s3_proxied, deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send_all(dserver.alice, grant["uri"])
    proxy.before = lambda request: (
        Fault.REFUSED if request.method == "POST" and "uploadId=" in request.target else None
    )
    assert dserver.alice.complete(grant["uri"]).status_code == 502
    proxy.heal()
    whole = begin(dserver, Deposit(wanted.files, uuid=wanted.uuid))
    entry = whole["upload_urls"]["items"][IDENTIFIER]
    assert requests.put(entry["url"], CONTENT, headers=entry["headers"], timeout=30).ok
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json.get("verified")) == (200, None)
    assert incomplete(dserver) == []
    check_dataset(dserver, s3, wanted)


def test_a_request_for_parts_does_not_undo_what_was_assembled_meanwhile(on_s3_proxied, proxy, s3):
    """The upload is frozen meanwhile, and opened again, because the store loses another item."""
    dserver, wanted = on_s3_proxied, deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send_all(dserver.alice, grant["uri"])
    index = dserver.app.search = Index(dserver.app.search)

    def complete(request: Request) -> None:
        if request.method == "GET" and "uploadId=" in request.target:
            proxy.heal()
            index.is_away = True
            assert dserver.alice.complete(grant["uri"]).status_code == 502

    proxy.after = complete
    refused = ask(dserver.alice, grant["uri"], [1])
    assert (refused.status_code, refused.json["errors"]["slug"]) == (409, "upload-frozen")
    index.is_away = False
    small = f"{wanted.uuid}/data/{generate_identifier('notes.txt')}"
    s3.delete_object(Bucket=dserver.bucket.name, Key=small)
    assert dserver.alice.complete(grant["uri"]).status_code == 400
    put_small(begin(dserver, wanted), wanted)
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json["verified"]) == (200, "parts")
    check_dataset(dserver, s3, wanted)


def test_no_urls_of_parts_are_handed_out_while_a_clean_up_deletes_the_upload(
    on_s3_proxied, proxy, s3
):
    dserver, answers = on_s3_proxied, []
    uri = begin(dserver, deposit())["uri"]
    send(dserver.alice, uri, {1: part(1)})
    past = datetime.now(timezone.utc) - timedelta(hours=1)
    execute(dserver, update(PendingUpload).values(urls_expire_at=past))

    def ask_for_more(request: Request) -> None:
        if request.method == "DELETE" or "delete" in urlsplit(request.target).query:
            proxy.heal()
            answers.append(ask(dserver.alice, uri, [2]))

    proxy.before = ask_for_more
    command = ["cleanup", "--older-than", "0", "--delete-storage"]
    assert dserver.app.test_cli_runner().invoke(pending_upload, command).exit_code == 0
    [refused] = answers
    assert (refused.status_code, refused.json["errors"]["slug"]) == (409, "upload-busy")
    assert int(refused.headers["Retry-After"]) > 0
    assert (incomplete(dserver), rows(dserver)) == ([], [])
    assert ask(dserver.alice, uri, [2]).status_code == 404


def test_a_request_whose_parts_others_begin_and_end_is_told_to_call_again(on_s3_proxied, proxy):
    dserver = on_s3_proxied
    uri, failed = begin(dserver, deposit())["uri"], []

    def begin_first(request: Request) -> None:
        if request.method == "POST" and "uploads" in urlsplit(request.target).query:
            proxy.heal()
            assert ask(dserver.alice, uri, [1]).status_code == 200

    def end(_: object, cursor: Any, statement: str, *__: object) -> None:
        if failed and statement.startswith("SELECT item_in_parts"):
            cursor.execute("DELETE FROM item_in_parts")

    proxy.before = begin_first
    with dserver.app.app_context():
        event.listen(sql_db.engine, "handle_error", failed.append)
        event.listen(sql_db.engine, "before_cursor_execute", end)
    refused = ask(dserver.alice, uri, [1])
    assert (len(failed), refused.status_code) == (1, 409)
    assert refused.json["errors"]["slug"] == "upload-busy"


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
