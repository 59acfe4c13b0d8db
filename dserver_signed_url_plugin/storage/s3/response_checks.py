"""Checks that a response comes from S3 and belongs to the request.

If a proxy responds with 200 and a web page or nothing, botocore returns an empty result.

Source: AWS, "Amazon S3 API Reference", the response syntax of each action.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.response import StreamingBody

from dserver_signed_url_plugin.storage.content_range import is_beginning
from dserver_signed_url_plugin.storage.values import StoredItem

_ROOTS = {
    "CompleteMultipartUpload": b"CompleteMultipartUploadResult",
    "CopyObject": b"CopyObjectResult",
    "CreateMultipartUpload": b"InitiateMultipartUploadResult",
    "DeleteObjects": b"DeleteResult",
    "GetBucketVersioning": b"VersioningConfiguration",
    "ListMultipartUploads": b"ListMultipartUploadsResult",
    "ListObjectVersions": b"ListVersionsResult",
    "ListObjectsV2": b"ListBucketResult",
    "ListParts": b"ListPartsResult",
}
_HAVE_ETAG = frozenset({"GetObject", "HeadObject"})
# DELETE returns 204, but 200 in some stores.
_DEFAULT_STATUSES, _DELETE_STATUSES = {200}, {200, 204}
_PARTIAL = 206
_STATUSES = {"AbortMultipartUpload": _DELETE_STATUSES, "GetObject": {200, _PARTIAL}}
_FIRST_ELEMENT = re.compile(
    # Unambiguous, because backtracking could take hours otherwise.
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?(?:(?!\?>).)*\?>\s*|<!--(?:(?!-->).)*-->\s*)*"
    rb"<(?:[\w.-]+:)?([\w.-]+)[\s/>]",
    re.DOTALL,
)
_MAX_PAGES = 1_000
_MAX_PAGES_OF_BUCKET = 100_000


class UnexpectedS3Answer(Exception):
    """A response is not what S3 responds to the request; the message says why."""


def check(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Check a response that is a success or a redirect; a handler of the event ``before-parse``.

    :raises UnexpectedS3Answer: if it does not belong to the operation.
    """
    operation, status = operation_model.name, response_dict["status_code"]
    headers, body = response_dict["headers"], response_dict["body"]
    if 300 <= status < 400 and "x-amz-bucket-region" not in headers:
        # botocore would request the region, be redirected again, and so on.
        raise UnexpectedS3Answer(f"a redirect ({status})")
    if status < 300:
        try:
            _check_success(operation, status, headers, body)
        except UnexpectedS3Answer:
            # What would be read later holds its connection.
            if isinstance(body, StreamingBody):
                body.close()
            raise


def _check_success(operation: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    default = _DELETE_STATUSES if operation.startswith("Delete") else _DEFAULT_STATUSES
    if status not in _STATUSES.get(operation, default):
        raise UnexpectedS3Answer(f"status {status}")
    if operation in _HAVE_ETAG and "etag" not in headers:
        raise UnexpectedS3Answer("no ETag")
    root = _ROOTS.get(operation)
    if root is not None:
        check_root(body, root)


def check_range(answer: Mapping[str, Any], size: int, limit: int | None) -> None:
    """Check that a response to GetObject is no other part than was requested.

    :param size: of what was read of its body, in bytes.
    :param limit: the last byte of the range that was requested; None for all of the object.
    :raises UnexpectedS3Answer: if it is one, or all was requested.
    """
    is_part = answer["ResponseMetadata"]["HTTPStatusCode"] == _PARTIAL
    if is_part and not is_beginning(answer.get("ContentRange", ""), size, limit):
        raise UnexpectedS3Answer("a part that was not requested")


def check_root(body: bytes, root: bytes) -> None:
    """Check that a document has the root element ``root``, or is an error.

    :raises UnexpectedS3Answer: if it has another one.
    """
    # S3 may send an error after the status 200; botocore recognises it, and retries.
    if root_of(body) not in (root, b"Error"):
        raise UnexpectedS3Answer(f"no {root.decode()}")


def root_of(body: bytes) -> bytes | None:
    """Return the name of a document's root element; None if it is not XML."""
    found = _FIRST_ELEMENT.match(body)
    return None if found is None else found[1]


def has_store_header(headers: Mapping[str, str]) -> bool:
    """Return whether a response without a body has a header that only S3 sends."""
    return any(name.lower().startswith("x-amz-") for name in headers)


def etag_of(answer: Mapping[str, Any]) -> str:
    """Return the ETag of a response, without quotes."""
    return str(answer.get("ETag", "")).strip('"').lower()


def entries(pages: Iterable[Mapping[str, Any]], prefix: str) -> Iterator[tuple[str, StoredItem]]:
    """Yield the keys and objects of the pages of a listing.

    :raises UnexpectedS3Answer: if it is the listing of another prefix, or does not end.
    """
    most = _MAX_PAGES if prefix else _MAX_PAGES_OF_BUCKET
    firsts: set[str] = set()
    for number, page in enumerate(pages, 1):
        _check_page(page, prefix)
        found = [_entry(content, prefix) for content in page.get("Contents", [])]
        first = found[0][0] if found else None
        if number > most or first in firsts:
            raise UnexpectedS3Answer("a listing without an end")
        if first is not None:
            firsts.add(first)
        yield from found


def _check_page(page: Mapping[str, Any], prefix: str) -> None:
    if page.get("Prefix", "") != prefix:
        raise UnexpectedS3Answer("a listing of something else")
    if page.get("IsTruncated") and not page.get("NextContinuationToken"):
        raise UnexpectedS3Answer("a listing that is cut off")


def _entry(content: Mapping[str, Any], prefix: str) -> tuple[str, StoredItem]:
    try:
        key, size = content["Key"], content["Size"]
        stored = StoredItem(size, etag_of({"ETag": content["ETag"]}), content["LastModified"])
    except KeyError as error:
        raise UnexpectedS3Answer(f"a listing without {error.args[0]}") from error
    if not key.startswith(prefix) or size < 0:
        raise UnexpectedS3Answer("a listing of something else")
    return key, stored
