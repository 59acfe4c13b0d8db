"""What is taken for a document of S3's, however much stands before its first element."""

from __future__ import annotations

from io import BytesIO
from time import monotonic
from types import SimpleNamespace

import pytest
from botocore.response import StreamingBody

from dserver_signed_url_plugin.storage.s3.response_checks import (
    UnexpectedS3Answer,
    check,
    check_range,
    check_root,
)

ROOT = b"ListBucketResult"


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\xef\xbb\xbf",
        b'<?xml version="1.0"?>\n',
        b"<?a?><?b?> <!-- from a -- proxy --> \n",
        b"<!-- <?in?> -->",
        b"<??>" * 10_000,
    ],
)
def test_a_document_is_known_by_its_root_element(before):
    for root in (
        b"<ListBucketResult>",
        b'<ListBucketResult xmlns="s3">',
        b"<s3:ListBucketResult/>",
    ):
        check_root(before + root, ROOT)


@pytest.mark.parametrize("body", [b"", b"<html>", b"ListBucketResult", b"<!-- <ListBucketResult>"])
def test_anything_else_is_no_answer(body):
    with pytest.raises(UnexpectedS3Answer):
        check_root(body, ROOT)


@pytest.mark.parametrize("part", [b"<??>", b"<!---->", b"<? ?> ", b"<!-- <??> -->"])
def test_a_proxy_cannot_keep_a_worker_busy_by_a_few_bytes(part):
    began = monotonic()
    with pytest.raises(UnexpectedS3Answer):
        check_root(part * 10_000, ROOT)
    assert monotonic() - began < 5


@pytest.mark.parametrize(
    ("limit", "headers"),
    [
        (None, {"ContentRange": "bytes 0-2/9"}),
        (None, {"ContentRange": "bytes 0-2/3"}),
        (9, {"ContentRange": "bytes 5-7/9"}),
        (9, {"ContentRange": "bytes 0-2/900"}),
        (9, {"ContentRange": "bytes 0-9/900"}),
        (9, {"ContentRange": "bytes 0-2/*"}),
        (9, {}),
    ],
)
def test_a_part_that_was_not_requested_is_not_believed(limit, headers):
    answer = {"ResponseMetadata": {"HTTPStatusCode": 206}, **headers}
    with pytest.raises(UnexpectedS3Answer, match="a part that was not requested"):
        check_range(answer, 3, limit)


@pytest.mark.parametrize(("part", "limit"), [("bytes 0-2/900", 2), ("bytes 0-2/3", 9)])
def test_a_part_that_was_requested_is_taken(part, limit):
    check_range({"ResponseMetadata": {"HTTPStatusCode": 206}, "ContentRange": part}, 3, limit)


@pytest.mark.parametrize(("status", "headers"), [(200, {}), (204, {"etag": "e"})])
def test_an_object_that_is_refused_holds_no_connection(status, headers):
    raw = BytesIO(b"<html>")
    response = {"status_code": status, "headers": headers, "body": StreamingBody(raw, None)}
    with pytest.raises(UnexpectedS3Answer):
        check(SimpleNamespace(name="GetObject"), response)
    assert raw.closed
