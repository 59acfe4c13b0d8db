"""Items in parts on Azure: what whoever still has URLs of parts can do with them."""

from __future__ import annotations

import pytest
import requests
from dservercore import sql_db
from dtoolcore.utils import generate_identifier
from sqlalchemy import delete

from dserver_signed_url_plugin.uploads.models import ItemInParts, PendingUpload
from tests.support.azure_holdings import check_dataset, containers
from tests.support.clients import Deposit
from tests.support.dserver import encoded
from tests.support.parts import (
    CONTENT,
    PART,
    SETTINGS,
    begin,
    deposit,
    part,
    put_small,
    send,
    send_all,
)
from tests.support.pending_copies import HASTE, copying
from tests.support.proxy import StoreProxy
from tests.uploads.test_azure_frozen import put_everything


@pytest.fixture
def dserver(make_azure_dserver):
    return make_azure_dserver(**SETTINGS)


def with_parts(grant, parts):
    """The URLs that were handed out: of documents, of a part, and of the blob that has it."""
    part = parts["parts"]["1"]
    blob = {"url": part["url"].partition("&comp=")[0], "headers": part["headers"]}
    return {"upload_urls": {**grant["upload_urls"], "items": {"part": part, "blob": blob}}}


def test_no_url_of_a_part_changes_a_completed_dataset(dserver, blobs):
    wanted = deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    urls = with_parts(grant, send_all(dserver.alice, grant["uri"]))
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    before = containers(blobs, wanted.uuid)
    source = dserver.alice.read_item(grant["uri"], generate_identifier("notes.txt")).json["url"]
    answers = put_everything(urls, source)
    assert min(map(min, answers.values())) >= 400
    assert containers(blobs, wanted.uuid) == before
    check_dataset(dserver, blobs, wanted)


def test_a_cancelled_upload_reports_the_bytes_of_its_parts(dserver, blobs):
    wanted = deposit()
    uri = begin(dserver, wanted)["uri"]
    send_all(dserver.alice, uri)
    cancelled = dserver.alice.delete(f"/signed-urls/upload/{encoded(uri)}").json
    assert cancelled["bytes"] > len(CONTENT)
    assert containers(blobs, wanted.uuid) == {}


def test_an_item_that_an_earlier_upload_has_assembled_is_verified_by_its_parts_only(dserver):
    """The MD5 that Azure keeps is the announced one, and not that of the bytes."""
    wanted = deposit()
    grant = begin(dserver, wanted)
    put_small(grant, wanted)
    send(dserver.alice, grant["uri"], {1: b"\xff" * PART, 2: part(2)})
    assert requests.put(grant["upload_urls"]["readme"], b"\xff", timeout=30).ok
    assert dserver.alice.complete(grant["uri"]).status_code == 400
    # As a clean-up does that keeps what is in the store.
    with dserver.app.app_context():
        for table in (ItemInParts, PendingUpload):
            sql_db.session.execute(delete(table))
        sql_db.session.commit()
    again = begin(dserver, Deposit(wanted.files, uuid=wanted.uuid))
    put_small({"upload_urls": {**again["upload_urls"], "items": {}}}, wanted)
    done = dserver.alice.complete(grant["uri"])
    assert (done.status_code, done.json["verified"]) == (200, "parts")


@pytest.mark.parametrize(("waiting", "status"), [({}, 502), ({"wait_seconds": 60}, 202)])
def test_a_completion_goes_on_when_the_store_has_copied_an_item(
    make_azure_dserver, account, blobs, waiting, status
):
    with StoreProxy(account) as proxy:
        proxy.rewritten = copying(looks=1000)
        dserver = make_azure_dserver(**SETTINGS, **HASTE, **proxy.settings())
        wanted = deposit()
        grant = begin(dserver, wanted)
        put_small(grant, wanted)
        send_all(dserver.alice, grant["uri"])
        body = {"uri": grant["uri"], **waiting}
        pending = dserver.alice.post("/signed-urls/upload-complete", body)
        assert pending.status_code == status
        assert waiting or pending.json["errors"]["slug"] == "assembly-pending"
        assert int(pending.headers["Retry-After"]) > 0
        waiting = {"uri": grant["uri"], "wait_seconds": 1}
        under_way = dserver.alice.post("/signed-urls/upload-complete", waiting)
        assert (under_way.status_code, under_way.json["items_done"]) == (202, 1)
        proxy.rewritten = bytes
        assert dserver.alice.complete(grant["uri"]).status_code == 200
        assert sum("x-ms-copy-source" in asked.headers for asked in proxy.requests) == 1
        check_dataset(dserver, blobs, wanted)
