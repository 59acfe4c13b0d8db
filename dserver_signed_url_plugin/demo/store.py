"""A local S3 store that verifies signatures, and buckets in it or in any other store.

Knows how ministack is started. Never touches dserver or datasets.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dserver_signed_url_plugin.demo.processes import LocalStorage, never

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
REGION = "us-east-1"
# Everything else would change the store: AWS_*, DTOOL_*, and ministack's own variables.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
FOR_BROWSERS = {
    "AllowedMethods": ["GET", "HEAD", "PUT"],
    "AllowedOrigins": ["*"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag"],
}


class StoreUnavailable(RuntimeError):
    """The store is away, or refuses its keys or the bucket."""


class LocalStore(LocalStorage):
    """ministack as a child process, from ``with`` to the end of the block.

    Objects are kept in ``data_dir`` if there is one, and forgotten at the end otherwise.
    """

    name = "The local S3 store"

    def __init__(
        self,
        port: int | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        log_path: Path | None = None,
        data_dir: Path | None = None,
        stop_requested: Callable[[], bool] = never,
    ) -> None:
        self.port = port or free_port()
        self.endpoint = f"http://{HOST}:{self.port}"
        self.access_key = access_key or f"AK{secrets.token_hex(9).upper()}"
        self.secret_key = secret_key or secrets.token_hex(20)
        self._data_dir = data_dir
        super().__init__(log_path, stop_requested)

    def create_bucket(self, name: str) -> None:
        """Create the bucket if it is missing, and let browsers use it."""
        ensure_bucket(self.endpoint, self.access_key, self.secret_key, name)
        allow_browsers(self.endpoint, self.access_key, self.secret_key, name)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "ministack"]

    def _answers(self) -> bool:
        # Asking with our keys: another store that took the port would not know them.
        try:
            s3_client(self.endpoint, self.access_key, self.secret_key, patient=False).list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def _environment(self, scratch: Path) -> dict[str, str]:
        environment = inherited() | {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "SERVICES": "s3,iam,sts",
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "LOG_LEVEL": "WARNING",
            # These two would listen on every address, whatever BIND_HOST says.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # At its start it would remove what another ministack left in this machine's Docker.
            "DOCKER_HOST": f"unix://{scratch / 'no-docker'}",
            "TMPDIR": str(scratch),
            "STATE_DIR": str(scratch / "state"),
        }
        if self._data_dir is not None:
            environment |= {"S3_PERSIST": "1", "S3_DATA_DIR": str(self._data_dir)}
        return environment


def ensure_bucket(endpoint: str, access_key: str, secret_key: str, name: str) -> None:
    """Create the bucket in any S3 store, if it is missing.

    :raises StoreUnavailable: with the reason, without the keys.
    """
    client = s3_client(endpoint, access_key, secret_key)
    try:
        if not _exists(client, name):
            client.create_bucket(Bucket=name)
    except ClientError as refusal:
        code = refusal.response["Error"].get("Code", "unknown")
        if code != "BucketAlreadyOwnedByYou":
            raise StoreUnavailable(f"{endpoint} refuses bucket {name}: {code}.") from refusal
    except BotoCoreError as failure:
        raise StoreUnavailable(f"{endpoint} cannot be used: {type(failure).__name__}.") from failure


def allow_browsers(endpoint: str, access_key: str, secret_key: str, name: str) -> None:
    """Let web pages of every origin use a bucket through signed URLs."""
    s3_client(endpoint, access_key, secret_key).put_bucket_cors(
        Bucket=name,
        CORSConfiguration={"CORSRules": [FOR_BROWSERS]},  # type: ignore[list-item]
    )


@lru_cache
def s3_client(endpoint: str, access_key: str, secret_key: str, patient: bool = True) -> S3Client:
    """Return a client that looks at nothing but its arguments."""
    settings = Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=10,
        retries={"total_max_attempts": 3 if patient else 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # No proxy leads to this machine, whatever the environment says.
        proxies={} if urlsplit(endpoint).hostname == HOST else None,
    )
    # A profile of the caller's, which need not even exist, has no say in this either.
    alone = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    session = boto3.session.Session(
        access_key, secret_key, region_name=REGION, botocore_session=alone
    )
    return session.client("s3", endpoint_url=endpoint, config=settings)


def inherited() -> dict[str, str]:
    """Return what a store may know of this process's environment."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def free_port() -> int:
    """Return a port of this machine on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _exists(client: S3Client, name: str) -> bool:
    try:
        client.head_bucket(Bucket=name)
    except ClientError as answer:
        if answer.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
