"""Answers about parts that are lost, or are not what was asked for, and very many parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from dserver_signed_url_plugin.errors import StorageAway, StorageUnavailable
from tests.support.part_contract import PartedItem
from tests.support.proxy import Fault, Instead
from tests.support.s3_storages import storage_of

PAGE = b"<html><body>Down for maintenance</body></html>"
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@pytest.fixture
def storage(bucket, proxy):
    return storage_of(bucket, **proxy.settings())


@pytest.fixture
def parted(storage):
    """An item in two parts, which are there."""
    made = PartedItem(storage, bytes(1500), 1000, storage.uploads.life(600))
    made.put_all()
    return made


def query(request):
    return parse_qs(urlsplit(request.target).query, keep_blank_values=True)


def is_create(request):
    return request.method == "POST" and "uploads" in query(request)


def is_complete(request):
    return request.method == "POST" and "uploadId" in query(request)


def is_abort(request):
    return request.method == "DELETE" and "uploadId" in query(request)


def is_list(request):
    return request.method == "GET" and "uploadId" in query(request)


def is_list_of_uploads(request):
    return request.method == "GET" and "uploads" in query(request)


def parts_page(of="<Key>k</Key><UploadId>u</UploadId>", *, part="", truncated="false", more=""):
    content = f"{of}<IsTruncated>{truncated}</IsTruncated>{more}{part}"
    return Instead(200, f"<ListPartsResult>{content}</ListPartsResult>".encode())


def own(parted):
    key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
    return f"<Key>{key}</Key><UploadId>{parted.begun.upload_id}</UploadId>"


PART = "<Part><PartNumber>{}</PartNumber><Size>{}</Size><ETag>{}</ETag></Part>"
LISTINGS = {
    "of another upload": lambda parted: parts_page(),
    "of a negative size": lambda parted: parts_page(own(parted), part=PART.format(1, -1, "e")),
    "of part 0": lambda parted: parts_page(own(parted), part=PART.format(0, 1, "e")),
    "of part 10,001": lambda parted: parts_page(own(parted), part=PART.format(10_001, 1, "e")),
    "without an ETag": lambda parted: parts_page(own(parted), part=PART.format(1, 1, "")),
    "without an end": lambda parted: parts_page(
        own(parted), part=PART.format(1, 1, "e"), truncated="true"
    ),
    "that goes on, without parts": lambda parted: parts_page(own(parted), truncated="true"),
}
NO_ANSWERS = {
    "page": Instead(200, PAGE),
    "nothing": Instead(200),
    "307": Instead(307, to_itself=True),
    "404-page": Instead(404, PAGE),
    "refusal": Instead(403, b"<Error><Code>AccessDenied</Code></Error>"),
}
CALLS = {
    "create": (is_create, lambda parted: parted.begin()),
    "list": (is_list, lambda parted: parted.parts.stored_parts(parted.begun)),
    "complete": (is_complete, lambda parted: parted.assemble()),
    "abort": (is_abort, lambda parted: parted.parts.abort(parted.begun)),
    "incomplete": (
        is_list_of_uploads,
        lambda parted: parted.parts.incomplete(datetime.now(timezone.utc)),
    ),
}


def test_a_part_that_is_listed_twice_counts_as_it_was_written_last(parted, proxy):
    parts = "".join(
        PART.format(1, size, size).replace("</Part>", f"<LastModified>{at}</LastModified></Part>")
        for size, at in ((7, "2026-11-26T10:00:01Z"), (6, "2026-11-26T10:00:00Z"))
    )
    answer = parts_page(own(parted), part=parts)
    proxy.before = lambda request: answer if is_list(request) else None
    [(number, stored)] = parted.parts.stored_parts(parted.begun).items()
    assert (number, stored.size_in_bytes) == (1, 7)
    proxy.heal()


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_answer_is_not_believed(parted, proxy, call):
    matches, act = CALLS[call]
    for wrong in NO_ANSWERS.values():
        proxy.before = lambda request, wrong=wrong: wrong if matches(request) else None
        # Of an abort, the status alone says that it was done; what counts is the listing.
        believed = call == "abort" and wrong.status == 200
        with pytest.raises(StorageUnavailable, match="still holds parts" if believed else None):
            act(parted)
    proxy.heal()
    act(parted)


def test_an_error_after_the_status_200_is_an_error(parted, proxy):
    wrong = Instead(200, b"<Error><Code>InternalError</Code></Error>")
    proxy.before = lambda request: wrong if is_complete(request) else None
    with pytest.raises(StorageAway):
        parted.assemble()
    proxy.heal()
    assert parted.assemble() is not None


def test_a_wrong_listing_of_parts_is_not_believed(parted, proxy):
    for listing in LISTINGS.values():
        wrong = listing(parted)
        proxy.before = lambda request, wrong=wrong: wrong if is_list(request) else None
        with pytest.raises(StorageUnavailable):
            parted.parts.stored_parts(parted.begun)


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.AWAY])
def test_an_assembly_whose_answer_is_lost_is_found_done(parted, proxy, fault):
    seen = parted.stored()
    completions = []

    def lose(request):
        if is_complete(request):
            completions.append(request)
            return fault if len(completions) == 1 else gone
        return None

    gone = Instead(404, XML + b"<Error><Code>NoSuchUpload</Code></Error>")
    proxy.after = lose
    assembled = parted.assemble(seen)
    assert assembled.md5 == parted.parts.assembled_md5(parted.item, seen)
    assert len(completions) == 2


def test_an_item_of_other_parts_is_not_taken_for_the_assembled_one(parted, s3, bucket):
    seen = parted.stored()
    key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
    s3.put_object(Bucket=bucket.name, Key=key, Body=bytes(1500))
    parted.parts.abort(parted.begun)
    assert parted.assemble(seen) is None


def test_white_space_before_the_answer_to_a_completion_is_read(parted, proxy):
    seen = parted.stored()

    def slow(request):
        if not is_complete(request):
            return None
        key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
        done = f"<CompleteMultipartUploadResult><Key>{key}</Key></CompleteMultipartUploadResult>"
        return Instead(200, XML + b" \r\n" * 50 + done.encode())

    proxy.after = slow
    assert parted.assemble(seen).md5 == parted.parts.assembled_md5(parted.item, seen)


def test_a_completion_that_left_nothing_is_not_believed(parted, proxy):
    key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
    done = f"<CompleteMultipartUploadResult><Key>{key}</Key></CompleteMultipartUploadResult>"
    proxy.before = lambda request: Instead(200, done.encode()) if is_complete(request) else None
    with pytest.raises(StorageUnavailable, match="has not kept an item"):
        parted.assemble()
    proxy.heal()
    assert parted.assemble() is not None


def test_a_store_that_refuses_a_part_says_that_it_has_changed(parted, proxy):
    for code in ("InvalidPart", "InvalidPartOrder", "EntityTooSmall"):
        refusal = Instead(400, f"<Error><Code>{code}</Code></Error>".encode())
        proxy.before = lambda request, r=refusal: r if is_complete(request) else None
        assert parted.assemble() is None


def test_a_key_that_may_not_list_uploads_still_discards(parted, proxy, s3, bucket):
    refusal = Instead(403, b"<Error><Code>AccessDenied</Code></Error>")
    proxy.before = lambda request: refusal if is_list_of_uploads(request) else None
    with pytest.raises(StorageUnavailable, match="grant it s3:ListBucketMultipartUploads"):
        parted.parts.incomplete(datetime.now(timezone.utc))
    parted.upload.discard()
    assert s3.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0


def test_where_etags_are_no_md5s_an_assembled_item_is_known_by_its_size_and_parts(
    parted, proxy, s3, bucket
):
    opaque = {n: replace(part, md5=None) for n, part in parted.stored().items()}
    assert parted.parts.assembled_md5(parted.item, opaque) is None
    assembled = parted.assemble(opaque)
    gone = Instead(404, b"<Error><Code>NoSuchUpload</Code></Error>")
    proxy.before = lambda request: gone if is_complete(request) else None
    assert parted.assemble(opaque) == assembled
    key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
    s3.put_object(Bucket=bucket.name, Key=key, Body=bytes(1500))
    assert parted.assemble(opaque) is None


def test_no_step_asks_more_of_the_store_than_it_needs(parted, proxy):
    def cost(act):
        proxy.forget()
        act()
        return len(proxy.requests)

    assert cost(parted.begin) == 1
    assert cost(parted.urls) == 0
    seen = parted.stored()
    assert cost(parted.stored) == 1
    assert cost(lambda: parted.assemble(seen)) == 2
    assert cost(lambda: parted.parts.abort(parted.begun)) == 2


def test_ten_thousand_parts_are_listed_in_ten_requests(parted, proxy):
    size, md5 = 5 * 1024**2, "0" * 32

    def page(request):
        after = int(query(request)["part-number-marker"][0])
        numbers = range(after + 1, after + 1001)
        found = "".join(PART.format(number, size, md5) for number in numbers)
        more = f"<NextPartNumberMarker>{numbers[-1]}</NextPartNumberMarker>"
        return parts_page(own(parted), part=found, more=more, truncated=str(after < 9000).lower())

    proxy.forget()
    proxy.before = page
    found = parted.stored()
    assert list(found) == list(range(1, 10_001))
    assert len(proxy.requests) == 10
    assert parted.parts.assembled_md5(parted.item, found).endswith("-10000")


def uploads_page(prefix, number, *, truncated):
    """A page with one multipart upload below a prefix."""
    key = f"{prefix}data/{number:040x}"
    more = f"<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    upload = f"<Upload><Key>{key}</Key><UploadId>u</UploadId></Upload>"
    content = f"<Prefix>{prefix}</Prefix><IsTruncated>{truncated}</IsTruncated>{more}{upload}"
    return Instead(
        200, f"<ListMultipartUploadsResult>{content}</ListMultipartUploadsResult>".encode()
    )


def test_all_pages_of_multipart_uploads_are_read(parted, proxy):
    def answer(request):
        if is_list_of_uploads(request):
            is_first = "key-marker" not in query(request)
            number = 1 if is_first else 2
            return uploads_page(f"{parted.upload.uuid}/", number, truncated=str(is_first).lower())
        return None

    proxy.before = answer
    proxy.forget()
    parted.upload.discard()
    aborted = [urlsplit(request.target).path[-1] for request in proxy.requests if is_abort(request)]
    assert sorted(aborted) == ["1", "2"]


@pytest.mark.parametrize(
    "page",
    [
        uploads_page("other/", 1, truncated="false"),
        uploads_page("", 1, truncated="true"),
    ],
    ids=["of another prefix", "without an end"],
)
def test_a_wrong_listing_of_multipart_uploads_is_not_believed(parted, proxy, page):
    proxy.before = lambda request: page if is_list_of_uploads(request) else None
    with pytest.raises(StorageUnavailable):
        parted.parts.incomplete(datetime.now(timezone.utc))
