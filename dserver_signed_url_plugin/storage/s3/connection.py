"""One bucket: clients, credentials, and the requests this plugin makes of S3.

The only room that speaks to boto. A vendor's error ends here: what goes out is StorageUnavailable
with a sentence of ours, or Missing where an object's absence is an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session

from dserver_signed_url_plugin.config import ENDPOINT, PUBLIC_ENDPOINT, Settings, is_web_address
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.base import StoredItem
from dserver_signed_url_plugin.storage.configured import dtool_setting, rewritten
from dserver_signed_url_plugin.storage.parallel import PARALLEL
from dserver_signed_url_plugin.storage.sigv4 import Credentials, Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

logger = logging.getLogger(__name__)

_DELETIONS_PER_REQUEST = 1000  # the most that DeleteObjects takes
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})
_UNKNOWN = frozenset({"501", "NotImplemented"})

# Reading the description of S3 is most of the work of making a client, and the same for all.
_DESCRIPTIONS = botocore.loaders.create_loader()
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
)

# Checksums beyond Content-MD5 are left out where botocore lets them, because older S3-compatible
# stores refuse them; few attempts and short times, because a person waits for the answer.
_CLIENT = botocore.config.Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=2 * PARALLEL,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


# For what is asked beside: nobody waits long for an answer that can be done without.
_HASTY = _CLIENT.merge(
    botocore.config.Config(read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
)


class Missing(Exception):
    """The store answered, and there is no such object (any more)."""


class S3Connection:
    """Clients and credentials of one bucket, built once and kept.

    :param hasty: whether to give up soon.
    :raises StorageUnavailable: where dtool's settings or boto3's own chain give no credentials.
    """

    def __init__(self, bucket: str, settings: Settings, hasty: bool = False) -> None:
        self.bucket, self._config = bucket, _HASTY if hasty else _CLIENT
        self._settings = settings
        endpoint = self._endpoint(ENDPOINT)
        with self._translated("connecting"):
            self._session = self._open_session(endpoint)
            self._credentials = self._session.get_credentials()
            self._client = self._open_client(endpoint)
            public = self._public_endpoint(self._client.meta.endpoint_url)
            signing = self._client if public is None else self._open_client(public)
            self.place = place_of(signing, bucket)

    def setting(self, name: str) -> str | None:
        """Return one of dtool's settings: Flask's config, environment, dtool's file."""
        return dtool_setting(self._settings, name)

    @property
    def dataset_prefix(self) -> str:
        """What dtool puts before the keys of datasets that are new here."""
        return self.setting(f"DTOOL_S3_DATASET_PREFIX_{self.bucket}") or ""

    def _endpoint(self, name: str) -> str | None:
        """Return a setting that is a URL; a user or password in it would show in signed URLs."""
        value = self.setting(f"{name}{self.bucket}")
        if value is not None and not is_web_address(value):
            raise StorageUnavailable(f"The server's setting {name}{self.bucket} is not a URL.")
        return value

    def credentials(self) -> tuple[Credentials, datetime | None]:
        """Return the credentials as of now, and when they end (UTC) if that is known."""
        with self._translated("finding credentials"):
            if self._credentials is None:
                raise botocore.exceptions.NoCredentialsError
            # botocore has no public word for the end of refreshable credentials. Asked before and
            # after, so that an end never belongs to other credentials than those returned.
            while True:
                ends = getattr(self._credentials, "_expiry_time", None)
                frozen: Any = self._credentials.get_frozen_credentials()
                if ends == getattr(self._credentials, "_expiry_time", None):
                    break
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token), ends

    # Requests ------------------------------------------------------------------------------

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        """Return an object, or at most its first limit + 1 bytes, or None where there is none."""
        try:
            with self._translated("reading", may_miss=True):
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
                return answer["Body"].read(None if limit is None else limit + 1)
        except Missing:
            return None

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """Return an object's user metadata, or None where there is no object."""
        try:
            with self._translated("looking up", may_miss=True):
                return self._client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        except Missing:
            return None

    def put(self, key: str, body: str, metadata: Mapping[str, str] | None = None) -> None:
        """Write one object; text is stored as UTF-8."""
        with self._translated("writing"):
            self._put(key, body, metadata or {})

    def create(self, key: str, body: str, metadata: Mapping[str, str]) -> None:
        """Write one object, unless there is one already."""
        with suppress(Missing), self._translated("writing", may_miss=True):
            try:
                self._put(key, body, metadata, IfNoneMatch="*")
            except botocore.exceptions.ClientError as error:
                # Stores that have not followed AWS in this can only write.
                if _code(error) not in _UNKNOWN:
                    raise
                self._put(key, body, metadata)

    def copy(self, source: str, etag: str, target: str, metadata: Mapping[str, str]) -> bool:
        """Copy within the store; False if the source no longer is what etag says."""
        try:
            with self._translated("copying", may_miss=True):
                self._client.copy_object(
                    Bucket=self.bucket,
                    Key=target,
                    CopySource={"Bucket": self.bucket, "Key": source},
                    CopySourceIfMatch=etag,
                    Metadata=dict(metadata),
                    MetadataDirective="REPLACE",
                )
        except Missing:
            return False
        return True

    def listing(self, prefix: str) -> Iterator[tuple[str, StoredItem]]:
        """Yield (key, what the store says of it), at one request per 1,000 keys."""
        with self._translated("listing"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            for page in pages:
                for found in page.get("Contents", []):
                    md5 = found["ETag"].strip('"').lower()
                    yield found["Key"], StoredItem(found["Size"], md5, found["LastModified"])

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, at one request per 1,000."""
        for start in range(0, len(keys), _DELETIONS_PER_REQUEST):
            some = keys[start : start + _DELETIONS_PER_REQUEST]
            batch: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in some]
            with self._translated("deleting"):
                answer = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True}
                )
            if answer.get("Errors"):
                raise self._unavailable("deleting", answer["Errors"][0].get("Code", "unknown"))

    def _put(self, key: str, body: str, metadata: Mapping[str, str], **condition: Any) -> None:
        self._client.put_object(
            Bucket=self.bucket, Key=key, Body=body.encode(), Metadata=dict(metadata), **condition
        )

    # Building ------------------------------------------------------------------------------

    def _open_session(self, endpoint: str | None) -> boto3.session.Session:
        parts = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
        names = [f"DTOOL_S3_{part}_{self.bucket}" for part in parts]
        key, secret = (self.setting(name) for name in names)
        core = botocore.session.Session()
        core.register_component("data_loader", _DESCRIPTIONS)
        if not (endpoint or key or secret):
            return boto3.session.Session(botocore_session=core)
        values = {f"DTOOL_S3_ENDPOINT_{self.bucket}": endpoint, names[0]: key, names[1]: secret}
        absent = [name for name, value in values.items() if value is None]
        if absent:
            raise StorageUnavailable(
                f"The server's settings for {self.bucket} are incomplete: set {', '.join(absent)}."
            )
        return boto3.session.Session(
            aws_access_key_id=key, aws_secret_access_key=secret, botocore_session=core
        )

    def _open_client(self, endpoint: str | None) -> S3Client:
        client = self._session.client("s3", endpoint_url=endpoint, config=self._config)
        region = None if endpoint else self._bucket_region(client)
        if region in (None, client.meta.region_name):
            return client
        return self._session.client("s3", region_name=region, config=self._config)

    def _bucket_region(self, client: S3Client) -> str | None:
        """Ask AWS where the bucket lives: a signature made for another region is refused."""
        try:
            answer: Any = client.head_bucket(Bucket=self.bucket)
        except botocore.exceptions.ClientError as error:
            answer = error.response
        headers: Mapping[str, str] = answer["ResponseMetadata"].get("HTTPHeaders", {})
        return headers.get("x-amz-bucket-region")

    def _public_endpoint(self, internal: str) -> str | None:
        return self._endpoint(PUBLIC_ENDPOINT) or rewritten(self._settings, internal)

    # Errors --------------------------------------------------------------------------------

    @contextmanager
    def _translated(self, doing: str, may_miss: bool = False) -> Iterator[None]:
        try:
            yield
        except botocore.exceptions.ClientError as error:
            code = _code(error)
            if may_miss and code in _ABSENT | _CHANGED:
                raise Missing from error
            raise self._unavailable(doing, code) from error
        except _NO_CREDENTIALS as error:
            raise StorageUnavailable(
                f"The server has no credentials for {self.bucket}; its administrator must set them."
            ) from error
        except RuntimeError as error:
            # botocore's word for temporary credentials that have ended and cannot be renewed.
            if isinstance(error, RecursionError):
                raise
            raise StorageUnavailable(
                f"The server's credentials for {self.bucket} have ended; its administrator must "
                "renew them."
            ) from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            logger.warning("S3 %s in bucket %s: %s", doing, self.bucket, type(error).__name__)
            raise StorageUnavailable(
                f"The store of {self.bucket} does not answer ({doing}); call again later."
            ) from error

    def _unavailable(self, doing: str, code: str) -> StorageUnavailable:
        logger.warning("S3 %s in bucket %s: %s", doing, self.bucket, code)
        if code == "NoSuchBucket":
            return StorageUnavailable(f"The store has no bucket {self.bucket}.")
        return StorageUnavailable(
            f"The store of {self.bucket} refused the server ({doing}: {code}); "
            "call again later, or ask the server's administrator."
        )


def _code(error: botocore.exceptions.ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "unknown")


def place_of(client: S3Client, bucket: str) -> Place:
    """Learn host, path style and region from botocore, which knows every rule of addressing."""
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    parts = urlsplit(url)
    region = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[-3]
    # HTTP clients leave a default port out of the Host header, which is signed.
    host = parts.netloc.removesuffix({"http": ":80", "https": ":443"}[parts.scheme])
    return Place(parts.scheme, host, parts.path.removesuffix("k"), region)
