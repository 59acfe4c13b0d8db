"""Multipart uploads of one bucket: creating, listing, completing and aborting them.

Source: AWS, "Uploading and copying objects using multipart upload", and the API reference of each
action. As everywhere, no answer is believed that does not belong to the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.parts import StoredPart
from dserver_signed_url_plugin.storage.s3.errors import ErrorTranslator, code_of
from dserver_signed_url_plugin.storage.s3.response_checks import (
    UnexpectedS3Answer,
    etag_of,
)
from dserver_signed_url_plugin.storage.values import as_md5

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MAX_PARTS = 10_000
_LONGEST_UPLOAD_ID = 1024
_MAX_PAGES = 1_000
# The second is what Ceph answers to ListParts.
_GONE = frozenset({"NoSuchUpload", "NoSuchKey"})
_NOT_LISTED = frozenset({"AccessDenied", "NotImplemented", "501"})
# A part is missing, has another ETag than was listed, or has become too small for its place.
_CHANGED = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


@dataclass(frozen=True)
class MultipartUpload:
    """A multipart upload to a key, begun at a time (UTC) if that is known."""

    key: str
    upload_id: str
    initiated: datetime | None = None


class ListingRefused(StorageUnavailable):
    """The store does not list multipart uploads, or not for the server's key."""

    def __init__(self, bucket: str, code: str) -> None:
        super().__init__(
            f"The store of {bucket}",
            "does not let the server list multipart uploads: grant it "
            "s3:ListBucketMultipartUploads",
        )
        self.code = code


class MultipartUploads:
    """The multipart uploads of one bucket; safe to share between threads."""

    def __init__(self, client: S3Client, bucket: str, failures: ErrorTranslator) -> None:
        self._client, self._bucket, self._failures = client, bucket, failures

    def create(self, key: str, metadata: Mapping[str, str]) -> MultipartUpload:
        """Create one, whose object will have this user metadata."""
        with self._failures.translated("creating a multipart upload"):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, Metadata=dict(metadata)
            )
            return _upload_in(answer, key)

    def parts(self, upload: MultipartUpload) -> dict[int, StoredPart] | None:
        """List the parts, one request per 1,000; None if the store does not know the upload."""
        found: dict[int, StoredPart] = {}
        marker = 0
        with self._failures.translated("listing parts"):
            while True:
                page = self._parts_after(upload, marker)
                if page is None:
                    return None
                found.update(_parts_in(page, upload, marker))
                if not page.get("IsTruncated"):
                    return found
                # As the store lists them in ascending order, this is at most 10,000.
                last = max(found, default=marker)
                if last == marker:
                    raise UnexpectedS3Answer("a listing without an end")
                marker = last
                deadline.progress()

    def _parts_after(self, upload: MultipartUpload, marker: int) -> Mapping[str, Any] | None:
        try:
            return self._client.list_parts(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumberMarker=marker,
            )
        except botocore.exceptions.ClientError as error:
            if code_of(error) in _GONE:
                return None
            raise

    def copy_part(self, upload: MultipartUpload, number: int, start: int, end: int) -> StoredPart:
        """Make a part of bytes of the object that is at the upload's key already.

        :param start: of the first byte, from 0; ``end`` is that after the last one.
        """
        with self._failures.translated("copying a part"):
            answer = self._client.upload_part_copy(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": upload.key},
                CopySourceRange=f"bytes={start}-{end - 1}",
            )
            etag = answer.get("CopyPartResult", {}).get("ETag", "").strip('"')
            if not etag:
                raise UnexpectedS3Answer("no copy of a part")
        return StoredPart(end - start, as_md5(etag), etag)

    def complete(self, upload: MultipartUpload, parts: Mapping[int, StoredPart]) -> bool:
        """Assemble the object of exactly these parts.

        :return: False if one of them has changed, or the store does not know the upload, as after
            a completion whose answer was lost.
        """
        numbered: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": f'"{parts[number].etag}"'} for number in sorted(parts)
        ]
        with self._failures.translated("completing a multipart upload"):
            try:
                answer = self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=upload.key,
                    UploadId=upload.upload_id,
                    MultipartUpload={"Parts": numbered},
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) in _CHANGED | _GONE:
                    return False
                raise
            if answer.get("Key") != upload.key:
                raise UnexpectedS3Answer("the completion of something else")
        return True

    def abort(self, upload: MultipartUpload) -> None:
        """Delete the parts, also those that arrive meanwhile; nothing if there are none.

        :raises StorageUnavailable: also if they are still there afterwards.
        """
        # AWS: a part that is being sent may be stored after the upload was aborted.
        for _ in range(2):
            self._abort(upload)
            if self.parts(upload) is None:
                return
        raise StorageUnavailable(
            f"The store of {self._bucket}",
            "still holds parts that it said it had deleted",
            StorageUnavailable.PAUSE,
        )

    def _abort(self, upload: MultipartUpload) -> None:
        with self._failures.translated("aborting a multipart upload"):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) not in _GONE:
                    raise

    def below(self, prefix: str) -> Iterator[MultipartUpload]:
        """Yield those to keys with this prefix, at one request per 1,000.

        :raises ListingRefused: if the server may not list them.
        """
        with self._failures.translated("listing multipart uploads"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            try:
                yield from _uploads_in(pages, prefix)
            except botocore.exceptions.ClientError as error:
                if code_of(error) not in _NOT_LISTED:
                    raise
                raise ListingRefused(self._bucket, code_of(error)) from error

    def listed_below(self, prefix: str) -> list[MultipartUpload]:
        """Return those to keys with this prefix; none if the server may not list them.

        A server that was set up before there were parts has no such permission, nor parts.
        """
        try:
            return list(self.below(prefix))
        except ListingRefused:
            return []


def _upload_in(answer: Mapping[str, Any], key: str) -> MultipartUpload:
    upload_id = answer.get("UploadId", "")
    is_usable = upload_id.isascii() and upload_id.isprintable() and upload_id.strip() == upload_id
    if answer.get("Key") != key or not is_usable or not 0 < len(upload_id) <= _LONGEST_UPLOAD_ID:
        raise UnexpectedS3Answer("no multipart upload of this key")
    return MultipartUpload(key, upload_id, answer.get("Initiated"))


def _parts_in(
    page: Mapping[str, Any], upload: MultipartUpload, marker: int
) -> Iterator[tuple[int, StoredPart]]:
    """Yield the parts of a page, with numbers above ``marker``.

    SeaweedFS lists a part as often as it was sent: what was written last is yielded last.
    """
    if (page.get("Key"), page.get("UploadId")) != (upload.key, upload.upload_id):
        raise UnexpectedS3Answer("a listing of something else")
    for part in sorted(page.get("Parts", []), key=_by_number_and_time):
        number, size, etag = part.get("PartNumber", 0), part.get("Size", -1), part.get("ETag", "")
        if not (marker < number <= MAX_PARTS and size >= 0 and etag):
            raise UnexpectedS3Answer("a listing of something else")
        yield number, StoredPart(size, as_md5(etag_of(part)), etag.strip('"'))


def _by_number_and_time(part: Mapping[str, Any]) -> tuple[int, float]:
    written = part.get("LastModified")
    return part.get("PartNumber", 0), written.timestamp() if written else 0.0


def _uploads_in(pages: Iterable[Mapping[str, Any]], prefix: str) -> Iterator[MultipartUpload]:
    """Yield the uploads of the pages of a listing, which must end."""
    seen: set[tuple[str, str]] = set()
    for number, page in enumerate(pages, 1):
        found = [_upload_in(each, each.get("Key", "")) for each in page.get("Uploads", [])]
        is_other = page.get("Prefix", "") != prefix or any(
            not each.key.startswith(prefix) for each in found
        )
        first = (found[0].key, found[0].upload_id) if found else None
        if is_other:
            raise UnexpectedS3Answer("a listing of something else")
        if number > _MAX_PAGES or first in seen:
            raise UnexpectedS3Answer("a listing without an end")
        if first is not None:
            seen.add(first)
        yield from found
        deadline.progress()
