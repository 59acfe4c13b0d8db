"""Whether an answer is S3's, and the answer to what was asked.

botocore returns an empty result, without complaint, for a success that holds a web page or nothing,
as a proxy in maintenance sends it. Knows what each operation's answer looks like; makes no request.

Source: AWS, "Amazon S3 API Reference", the response syntax of each action.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

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
_STATUSES = {"GetObject": {200, 206}}
# DELETE is answered with 204, and by some stores with 200.
_OTHERWISE, _DELETED = {200}, {200, 204}
_FIRST_ELEMENT = re.compile(
    # No part can be read in two ways, or a few bytes would keep this busy for hours.
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?(?:(?!\?>).)*\?>\s*|<!--(?:(?!-->).)*-->\s*)*"
    rb"<(?:[\w.-]+:)?([\w.-]+)[\s/>]",
    re.DOTALL,
)
_MD5 = re.compile("[0-9a-f]{32}")
_MOST_PAGES = 1_000
_MOST_PAGES_OF_A_BUCKET = 100_000


class UnexpectedS3Answer(Exception):
    """An answer came, but not to what was asked; the message says what is wrong with it."""


def check(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse what is a success by its status alone, and a redirect that names no region.

    A handler of botocore's event ``before-parse``.

    :raises UnexpectedS3Answer: if it is no answer to this operation.
    """
    operation, status = operation_model.name, response_dict["status_code"]
    headers = response_dict["headers"]
    if 300 <= status < 400 and "x-amz-bucket-region" not in headers:
        # botocore would ask for the region, be redirected again, and so on.
        raise UnexpectedS3Answer(f"a redirect ({status})")
    if status < 300:
        _check_success(operation, status, headers, response_dict["body"])


def _check_success(operation: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    otherwise = _DELETED if operation.startswith("Delete") else _OTHERWISE
    if status not in _STATUSES.get(operation, otherwise):
        raise UnexpectedS3Answer(f"status {status}")
    if operation in _HAVE_ETAG and "etag" not in headers:
        raise UnexpectedS3Answer("no ETag")
    root = _ROOTS.get(operation)
    if root is not None:
        check_root(body, root)


def check_root(body: bytes, root: bytes) -> None:
    """Refuse what is not the document of this root element.

    :raises UnexpectedS3Answer: naming the root element.
    """
    found = _FIRST_ELEMENT.match(body)
    # An error may come late, after a status that said success; botocore reads it, and repeats.
    if found is None or found[1] not in (root, b"Error"):
        raise UnexpectedS3Answer(f"no {root.decode()}")


def is_told_by_store(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer without a body has a header that only S3 sends."""
    return any(name.lower().startswith("x-amz-") for name in headers)


def etag_of(answer: Mapping[str, Any]) -> str:
    """Return the ETag of an answer, without quotes."""
    return str(answer.get("ETag", "")).strip('"').lower()


def md5_of(content: bytes) -> str:
    """Return what S3 makes the ETag of an object that it does not encrypt."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def is_md5(etag: str) -> bool:
    """Tell whether an ETag may be the MD5 of a body."""
    return _MD5.fullmatch(etag) is not None


def entries(pages: Iterable[Mapping[str, Any]], prefix: str) -> Iterator[tuple[str, StoredItem]]:
    """Yield (key, what the store says of it) of a listing's pages.

    :raises UnexpectedS3Answer: if it is of something else, or has no end.
    """
    most = _MOST_PAGES if prefix else _MOST_PAGES_OF_A_BUCKET
    firsts: set[str] = set()
    for number, page in enumerate(pages, 1):
        _check_page(page, prefix)
        found = [_entry(said, prefix) for said in page.get("Contents", [])]
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


def _entry(said: Mapping[str, Any], prefix: str) -> tuple[str, StoredItem]:
    try:
        key, size = said["Key"], said["Size"]
        stored = StoredItem(size, etag_of({"ETag": said["ETag"]}), said["LastModified"])
    except KeyError as error:
        raise UnexpectedS3Answer(f"a listing without {error.args[0]}") from error
    if not key.startswith(prefix) or size < 0:
        raise UnexpectedS3Answer("a listing of something else")
    return key, stored
