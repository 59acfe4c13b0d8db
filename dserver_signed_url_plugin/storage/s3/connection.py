"""One bucket: the requests that this plugin sends to S3, and what signs for it.

Raises StorageUnavailable, whatever boto3 raises; the absence of an object is a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import Any

import botocore.exceptions

from dserver_signed_url_plugin.config import LONGEST_LIFE, Settings
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.md5 import md5_of
from dserver_signed_url_plugin.storage.parallel import Pace
from dserver_signed_url_plugin.storage.s3.clients import S3Clients
from dserver_signed_url_plugin.storage.s3.deletions import Deletions
from dserver_signed_url_plugin.storage.s3.errors import (
    ErrorTranslator,
    NoFirstByte,
    ObjectMissing,
    code_of,
    is_bare,
)
from dserver_signed_url_plugin.storage.s3.found_object import found_object
from dserver_signed_url_plugin.storage.s3.multipart import MultipartUploads
from dserver_signed_url_plugin.storage.s3.response_checks import (
    UnexpectedS3Answer,
    check_range,
    entries,
    etag_of,
)
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, QuerySigner
from dserver_signed_url_plugin.storage.values import (
    EMPTY_MD5,
    FoundObject,
    Life,
    StoredItem,
    as_md5,
)

_UNKNOWN = frozenset({"501", "NotImplemented"})

# Copies an object; takes source, ETag, target and metadata, and returns False if the ETag differs.
Copy = Callable[[str, str, str, Mapping[str, str]], bool]


class S3Connection:
    """The requests of one bucket; safe to share between threads.

    :param hasty: use short timeouts and few retries.
    :raises StorageUnavailable: if neither dtool's settings nor boto3's own chain have credentials.
    """

    def __init__(self, bucket: str, settings: Settings, *, hasty: bool = False) -> None:
        self.bucket = bucket
        self._failures = self._make_failures()
        self._clients = S3Clients(bucket, settings, self._failures, hasty=hasty)
        self._client, self.endpoint = self._clients.client, self._clients.endpoint

    @property
    def dataset_prefix(self) -> str:
        """What dtool puts before the keys of new datasets."""
        return self._clients.dataset_prefix

    def credentials(self, *, writing: bool = False) -> tuple[Credentials, datetime | None]:
        """Return the credentials as of now, and when they end (UTC) if that is known.

        :param writing: those that sign URLs to write, which may be a key pair of their own.
        """
        return self._clients.credentials(writing=writing)

    def life(self, seconds: int, *, writing: bool = False) -> Life:
        """Return the life of URLs signed now, in whole seconds, never past the credentials' end."""
        life = Life.from_now(seconds, LONGEST_LIFE)
        _, end = self.credentials(writing=writing)
        if end is not None:
            life = life.until(end, "credentials")
        if life.seconds < 1:
            raise StorageUnavailable(
                f"The server's credentials for {self.bucket}", "have just ended"
            )
        return life

    def signer(self, life: Life, *, writing: bool = False) -> QuerySigner:
        """Return what signs URLs of that life."""
        credentials, _ = self.credentials(writing=writing)
        return QuerySigner(self.endpoint, credentials, life.starts, life.seconds)

    @property
    def has_write_key(self) -> bool:
        """Whether URLs to write are signed with a key pair of their own."""
        return self._clients.has_write_key

    @property
    def multipart(self) -> MultipartUploads:
        """The multipart uploads of this bucket."""
        return MultipartUploads(self._client, self.bucket, self._failures)

    @property
    def deletions(self) -> Deletions:
        """What deletes objects of this bucket."""
        return Deletions(self._client, self.bucket, self._failures, self.find)

    def _make_failures(self) -> ErrorTranslator:
        return ErrorTranslator(self.bucket)

    # Requests ------------------------------------------------------------------------------

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        """Return an object, or at most its first limit + 1 bytes, or None if there is none."""
        return self.get_with_etag(key, limit)[0]

    def get_with_etag(self, key: str, limit: int | None = None) -> tuple[bytes | None, str]:
        """Return what get() does, and the object's ETag; empty if it is encrypted with a KMS."""
        content, etag = self._read(key, limit)
        is_whole = content is not None and (limit is None or len(content) <= limit)
        if content is None or not is_whole or as_md5(etag) is None or etag == md5_of(content):
            return content, etag
        # Either the store's ETags are not MD5s, or something has changed the answer.
        again, _ = self._read(key, limit)
        if again != content:
            raise self._failures.unexpected("reading", "bytes that differ from their ETag")
        return content, etag

    def _read(self, key: str, limit: int | None = None) -> tuple[bytes | None, str]:
        """Return an object, and its ETag if that may be its MD5."""
        part: dict[str, Any] = {} if limit is None else {"Range": f"bytes=0-{limit}"}
        try:
            with self._failures.translated("reading", may_miss=True):
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **part)
                # A store may ignore the range.
                with closing(answer["Body"]) as body:
                    content = body.read(None if limit is None else limit + 1)
                check_range(answer, len(content), limit)
                deadline.answered()
        except NoFirstByte:
            return b"", ""
        except ObjectMissing:
            return None, ""
        is_opaque = answer.get("ServerSideEncryption", "").startswith("aws:kms")
        return content, "" if is_opaque else etag_of(answer)

    def find(self, key: str) -> FoundObject | None:
        """Return an object's metadata, or None if there is none."""
        try:
            with self._failures.translated("looking up", may_miss=True):
                return found_object(self._head(key))
        except ObjectMissing:
            return None

    def is_empty(self, key: str) -> bool:
        """Tell whether there is an object without bytes; False if its ETag does not show that."""
        found = self.find(key)
        return found is not None and found.etag == EMPTY_MD5

    def _head(self, key: str) -> Mapping[str, Any]:
        try:
            return self._client.head_object(Bucket=self.bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            if not is_bare(error):
                raise
        # Any server may answer 404; the answer to GET has a body that shows whether it is S3's.
        self._client.get_object(Bucket=self.bucket, Key=key)["Body"].close()
        raise UnexpectedS3Answer("an object that is there and is not")

    def put(self, key: str, body: str, metadata: Mapping[str, str] | None = None) -> None:
        """Write one object; text is stored as UTF-8."""
        with self._failures.translated("writing"):
            self._put(key, body, metadata or {})

    def create(self, key: str, body: str, metadata: Mapping[str, str]) -> bool:
        """Write one object; False, and nothing written, if there is one already.

        After an answer that was lost, the one that is there may be what was to be written.
        """
        with suppress(ObjectMissing), self._failures.translated("writing", may_miss=True):
            try:
                self._put(key, body, metadata, IfNoneMatch="*")
            except botocore.exceptions.ClientError as error:
                # Some stores do not implement conditional writes.
                if code_of(error) not in _UNKNOWN:
                    raise
                self._put(key, body, metadata)
            return True
        return False

    def copy(self, source: str, etag: str, target: str, metadata: Mapping[str, str]) -> bool:
        """Copy within the store; False if the source no longer has this ETag."""
        try:
            with self._failures.translated("copying", may_miss=True):
                self._client.copy_object(
                    Bucket=self.bucket,
                    Key=target,
                    CopySource={"Bucket": self.bucket, "Key": source},
                    CopySourceIfMatch=etag,
                    Metadata=dict(metadata),
                    MetadataDirective="REPLACE",
                )
        except ObjectMissing:
            return False
        return True

    @contextmanager
    def copies(self, pace: Pace) -> Iterator[Copy]:
        """Yield a function that does the same as copy(), faster, in many threads.

        :param pace: slowed down if the store is overloaded.
        """
        copier = self._clients.copier(pace)
        if copier is None:
            yield self.copy
            return
        with closing(copier):
            yield lambda *copied: copier.copy(*copied) or self.copy(*copied)

    def listing(self, prefix: str) -> Iterator[tuple[str, StoredItem]]:
        """Yield (key, object) at one request per 1,000 keys."""
        with self._failures.translated("listing"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            yield from entries(_noting_progress(pages), prefix)

    def holds(self, key: str, text: str, metadata: Mapping[str, str] | None = None) -> bool:
        """Tell whether an object is this text, by its ETag or else by its bytes.

        Of its metadata only dtool's type is compared: stores change the spelling of other names.
        """
        found = self.find(key)
        if found is None:
            return False
        dataset_type = (metadata or {}).get("type")
        if found.metadata.get("type", dataset_type) not in (dataset_type, None):
            return False
        content = text.encode()
        return found.etag == md5_of(content) or self._read(key)[0] == content

    def _put(self, key: str, body: str, metadata: Mapping[str, str], **condition: Any) -> None:
        content = body.encode()
        answer = self._client.put_object(
            Bucket=self.bucket, Key=key, Body=content, Metadata=dict(metadata), **condition
        )
        # If the store encrypts, or its ETags are not MD5s, the bytes are compared.
        if etag_of(answer) != md5_of(content) and self._read(key)[0] != content:
            raise UnexpectedS3Answer("not kept")


def _noting_progress(pages: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield pages; note progress if one lists something, and another follows."""
    for page in pages:
        yield page
        if page.get("IsTruncated") and page.get("Contents"):
            deadline.progress()
