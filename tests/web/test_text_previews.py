"""The preview of a text: read from the store as all else is, and what is said if that fails."""

from __future__ import annotations

import gzip
import html
from collections.abc import Callable
from typing import Any

import pytest
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.errors import StorageAway
from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Dserver
from tests.support.links import HTML, Visitor, shared
from tests.support.proxy import Fault, Request, StoreProxy
from tests.support.request_costs import counted

FILES = {
    "notes.txt": b"first line\n" * 100_000,
    "empty.txt": b"",
    # 1,000 times as long when it is decompressed.
    "bomb.txt": gzip.compress(b"a" * 10_000_000),
}
NOTES, EMPTY, BOMB = map(generate_identifier, FILES)


@pytest.fixture
def visitor(placed: Dserver) -> Visitor:
    """Somebody with a link to a dataset at a place that a proxy stands before."""
    return share_of(placed)


def share_of(dserver: Dserver) -> Visitor:
    one = Deposit(FILES)
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, one).status_code == 200
    return shared(dserver, f"{dserver.base_uri}/{one.uuid}")


def preview(visitor: Visitor, identifier: str = NOTES) -> str:
    answer = visitor.open(f"/{identifier}/preview", headers=HTML)
    assert answer.status_code == 200
    return html.unescape(answer.text)


def reads_item(request: Request) -> bool:
    return request.method == "GET" and NOTES in request.target


def test_a_text_costs_two_requests_and_no_more_bytes_than_are_shown(placed, place_proxy, visitor):
    assert "first line\nfirst line" in preview(visitor)
    with counted(placed, place_proxy) as cost:
        assert "The first 65.5 kB are shown" in preview(visitor)
    # Is the manifest the same? and the item.
    manifest, item = cost.requests
    assert (manifest.method, reads_item(item)) == ("HEAD", True)
    assert {name.lower(): text for name, text in item.headers.items()}.items() & {
        ("range", "bytes=0-65536"),
        ("x-ms-range", "bytes=0-65536"),
    }
    # There is no first byte to request.
    assert "store" not in preview(visitor, EMPTY)


def test_the_address_for_people_need_not_be_one_that_the_server_reaches(
    make_dserver_on: Callable[..., Dserver], place: Any, place_proxy: StoreProxy
):
    visitor = share_of(make_dserver_on(place, **place_proxy.public_settings()))
    place_proxy.forget()
    place_proxy.before = lambda _: Fault.DROPPED
    assert "first line" in preview(visitor)
    assert place_proxy.requests == []


def test_what_is_stored_compressed_is_not_decompressed(place_proxy, visitor):
    def claimed(request: Request, headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "Content-Encoding": "gzip"} if BOMB in request.target else headers

    place_proxy.headed = claimed
    assert "holds no text" in preview(visitor, BOMB)


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.DROPPED])
def test_a_store_that_does_not_give_the_file_is_no_error_of_the_page(
    place_proxy, visitor, caplog, fault
):
    place_proxy.before = lambda request: fault if reads_item(request) else None
    assert "does not give this file at the moment" in preview(visitor)
    assert "No preview: The store of " in caplog.text
    assert visitor.token not in caplog.text


# S3's client retries for longer.
@pytest.mark.parametrize("place", ["account"], indirect=True)
def test_an_item_is_read_under_the_circuit_breaker_of_its_store(placed, place_proxy, visitor):
    place_proxy.before = lambda _: Fault.DROPPED
    with placed.app.app_context():
        visits = placed.services.visits
        opened = visits.open(visits.find(visitor.token))
        for _ in range(5):
            with pytest.raises(StorageAway):
                visits.beginning(opened, NOTES, 9)
        place_proxy.forget()
        with pytest.raises(StorageAway, match="at the moment"):
            visits.beginning(opened, NOTES, 9)
    assert place_proxy.requests == []


def test_a_file_that_the_store_has_lost_is_said_to_be_missing(s3, lab):
    visitor = share_of(lab)
    preview(visitor)  # so that dserver knows the manifest
    key = f"{visitor.share.uri.uuid}/data/{NOTES}"
    s3.delete_object(Bucket=lab.bucket.name, Key=key)
    assert "The store does not hold this file any more" in preview(visitor)


def test_a_file_in_an_archive_is_said_to_be_there(s3, lab):
    visitor = share_of(lab)
    place = {"Bucket": lab.bucket.name, "Key": f"{visitor.share.uri.uuid}/data/{NOTES}"}
    s3.copy_object(**place, CopySource=place, StorageClass="GLACIER")
    assert "keeps this file in an archive" in preview(visitor)
