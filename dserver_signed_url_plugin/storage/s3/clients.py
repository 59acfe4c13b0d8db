"""Clients, credentials and endpoints of one bucket, made once and kept.

Reads dtool's settings of the bucket and boto3's own chain; sends no request, except to ask AWS for
the bucket's region.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session
from botocore.utils import parse_timestamp

from dserver_signed_url_plugin.addresses import web_address
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.environment import (
    ACCESS_KEY_ID,
    DATASET_PREFIX,
    ENDPOINT,
    PUBLIC_ENDPOINT,
    REGION,
    SECRET_ACCESS_KEY,
    WRITE_KEY_PAIR,
)
from dserver_signed_url_plugin.errors import StorageMisconfigured
from dserver_signed_url_plugin.storage.parallel import MAX_PARALLEL, Pace
from dserver_signed_url_plugin.storage.s3 import response_checks
from dserver_signed_url_plugin.storage.s3.botocore_deadline import bound
from dserver_signed_url_plugin.storage.s3.copier import Connect, Copier, connector
from dserver_signed_url_plugin.storage.s3.errors import ErrorTranslator
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint
from dserver_signed_url_plugin.storage.settings import dtool_setting, rewritten

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Loading the description of S3 is most of the work of making a client; it is shared.
_DESCRIPTIONS = botocore.loaders.create_loader()

# No checksums beyond Content-MD5 unless they are required, because older S3-compatible stores
# refuse them; few attempts and short times, because a person waits for the answer.
_CLIENT = botocore.config.Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=MAX_PARALLEL,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


# For optional requests, such as those for lifecycle rules.
_HASTY = _CLIENT.merge(
    botocore.config.Config(read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
)


class S3Clients:
    """The clients of one bucket.

    ``client`` sends requests to the server's address of the store; ``endpoint`` is the public one,
    for signed URLs; ``has_write_key`` tells whether URLs to write are signed with a key pair of
    their own.

    :param hasty: use short timeouts and few retries.
    :raises StorageUnavailable: without credentials in dtool's settings and boto3's own chain.
    """

    def __init__(
        self, bucket: str, settings: Settings, failures: ErrorTranslator, *, hasty: bool = False
    ) -> None:
        self.bucket, self._settings, self._failures = bucket, settings, failures
        self._config = _HASTY if hasty else _CLIENT
        self._write_key = self._open_write_key()
        self.has_write_key = self._write_key is not None
        endpoint = self._endpoint(ENDPOINT)
        with failures.translated("connecting"):
            self._core = self._open_core()
            self._session = self._open_session(endpoint)
            self._credentials = self._session.get_credentials()
            self.client = self._open_client(endpoint)
            public = self._public_endpoint(self.client.meta.endpoint_url)
            signing = self.client if public is None else self._open_client(public)
            self.endpoint = endpoint_of(signing, bucket)

    def copier(self, pace: Pace) -> Copier | None:
        """Return what copies many objects; None if only botocore can reach the store."""
        if self._connect is None:
            return None
        return Copier(self.bucket, self.inside, self._connect, lambda: self.credentials()[0], pace)

    @cached_property
    def _connect(self) -> Connect | None:
        return connector(self.inside, self._core)

    @cached_property
    def inside(self) -> Endpoint:
        """The endpoint at the server's address."""
        return endpoint_of(self.client, self.bucket)

    def setting(self, name: str) -> str | None:
        """Return one of dtool's settings: Flask's config, environment, dtool's file."""
        return dtool_setting(self._settings, name)

    @property
    def dataset_prefix(self) -> str:
        """What dtool puts before the keys of new datasets."""
        return self.setting(f"{DATASET_PREFIX}{self.bucket}") or ""

    def _endpoint(self, name: str) -> str | None:
        """Return a setting that is a URL, spelled as clients send it."""
        value = self.setting(f"{name}{self.bucket}")
        return None if value is None else web_address(value)

    def credentials(self, *, writing: bool = False) -> tuple[Credentials, datetime | None]:
        """Return the credentials as of now, and when they end (UTC) if that is known.

        :param writing: those that sign URLs to write, which may be a key pair of their own.
        """
        if writing and self._write_key is not None:
            return self._write_key, None
        with self._failures.translated("finding credentials"):
            if self._credentials is None:
                raise botocore.exceptions.NoCredentialsError
            # botocore has no public attribute for the end of refreshable credentials. Read before
            # and after, so that the end belongs to the credentials that are returned.
            while True:
                ends = getattr(self._credentials, "_expiry_time", None)
                frozen: Any = self._credentials.get_frozen_credentials()
                if ends == getattr(self._credentials, "_expiry_time", None):
                    break
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token), ends

    def _open_write_key(self) -> Credentials | None:
        names = [f"{prefix}{self.bucket}" for prefix in WRITE_KEY_PAIR]
        key, secret = (self.setting(name) for name in names)
        self._refuse_absent({names[0]: key, names[1]: secret})
        return None if key is None or secret is None else Credentials(key, secret)

    def _refuse_absent(self, values: Mapping[str, str | None]) -> None:
        """Refuse settings of which only some are set."""
        absent = [name for name, value in values.items() if value is None]
        if 0 < len(absent) < len(values):
            raise StorageMisconfigured(
                f"The server's settings for {self.bucket}",
                f"are incomplete: set {', '.join(absent)}",
            )

    def _open_core(self) -> botocore.session.Session:
        core = botocore.session.Session()
        core.register_component("data_loader", _DESCRIPTIONS)
        parsers = core.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=parsed_timestamp)
        bound(core)
        return core

    def _open_session(self, endpoint: str | None) -> boto3.session.Session:
        names = [f"{part}{self.bucket}" for part in (ENDPOINT, ACCESS_KEY_ID, SECRET_ACCESS_KEY)]
        key, secret = (self.setting(name) for name in names[1:])
        self._refuse_absent(dict(zip(names, (endpoint, key, secret), strict=True)))
        if endpoint is None:
            return boto3.session.Session(botocore_session=self._core)
        return boto3.session.Session(
            aws_access_key_id=key, aws_secret_access_key=secret, botocore_session=self._core
        )

    def _open_client(self, endpoint: str | None) -> S3Client:
        region = self.setting(f"{REGION}{self.bucket}")
        client = self._client(endpoint, region)
        address = web_address(client.meta.endpoint_url)
        if address not in (None, client.meta.endpoint_url):
            # boto3's own chain may have an endpoint too, in any spelling.
            client = self._client(address, region)
        if endpoint or region:
            return client
        region = self._bucket_region(client)
        return client if region in (None, client.meta.region_name) else self._client(None, region)

    def _client(self, endpoint: str | None, region: str | None) -> S3Client:
        """Make a client that checks every answer.

        Source: boto3, "Extensibility guide".
        """
        try:
            client = self._session.client(
                "s3", endpoint_url=endpoint, region_name=region, config=self._config
            )
        except ValueError as error:
            # dserver's own settings were checked when it started.
            raise StorageMisconfigured(
                f"The server's settings for {self.bucket}",
                "have no usable address in AWS_ENDPOINT_URL or a profile",
            ) from error
        client.meta.events.register("before-parse.s3", response_checks.check)
        return client

    def _bucket_region(self, client: S3Client) -> str | None:
        """Ask AWS for the bucket's region: signatures for another one are refused."""
        try:
            answer: Any = client.head_bucket(Bucket=self.bucket)
        except botocore.exceptions.ClientError as error:
            answer = error.response
        headers: Mapping[str, str] = answer["ResponseMetadata"].get("HTTPHeaders", {})
        return headers.get("x-amz-bucket-region")

    def _public_endpoint(self, internal: str) -> str | None:
        return self._endpoint(PUBLIC_ENDPOINT) or rewritten(self._settings, internal)


def parsed_timestamp(value: Any) -> datetime:
    """Read a timestamp as botocore does, in a tenth of its time if it is what S3 lists."""
    try:
        return datetime.fromisoformat(value.removesuffix("Z") + "+00:00")
    except (ValueError, AttributeError):
        parsed: datetime = parse_timestamp(value)
        return parsed


def endpoint_of(client: S3Client, bucket: str) -> Endpoint:
    """Return host, path style and region of a bucket, by botocore's rules of addressing."""
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    parts = urlsplit(url)
    region = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[-3]
    # Clients normalise an endpoint that boto3's own chain may spell differently.
    address = web_address(f"{parts.scheme}://{parts.netloc}", underscores=True)
    host = parts.netloc if address is None else urlsplit(address).netloc
    return Endpoint(parts.scheme, host, parts.path.removesuffix("k"), region)
