"""A local S3 store that verifies signatures: ministack; and buckets in it or in another store."""

from __future__ import annotations

import os
import random
import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dserver_signed_url_plugin.demo.processes import StoreProcess, never

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
REGION = "us-east-1"
# Other variables could change how the store behaves: AWS_*, DTOOL_*, and ministack's own.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
# Below those that systems give to processes that ask for any, and to outgoing connections.
_PORTS = range(10_000, 32_768)
CORS_RULE = {
    "AllowedMethods": ["GET", "HEAD", "PUT"],
    "AllowedOrigins": ["*"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag"],
}


class StoreUnavailable(RuntimeError):
    """The store cannot be reached, or refuses the keys or the bucket."""


class LocalStore(StoreProcess):
    """ministack in a child process, running as long as the ``with`` block.

    :param port: a free one if None.
    :param access_key: with ``secret_key``, the key pair of its only user; random if None.
    :param data_dir: where to keep objects; in memory if None.
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
        """Create a bucket unless it exists, and let browsers use it."""
        ensure_bucket(self.endpoint, self.access_key, self.secret_key, name)
        allow_browsers(self.endpoint, self.access_key, self.secret_key, name)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "ministack"]

    def _is_ready(self) -> bool:
        # Another store on this port would refuse the keys.
        try:
            s3_client(self.endpoint, self.access_key, self.secret_key, patient=False).list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def _environment(self, scratch: Path) -> dict[str, str]:
        environment = inherited_variables() | {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "SERVICES": "s3,iam,sts",
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "LOG_LEVEL": "WARNING",
            # These two services would listen on every address, in spite of BIND_HOST.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Without Docker it cannot remove containers of another ministack when it starts.
            "DOCKER_HOST": f"unix://{scratch / 'no-docker'}",
            "TMPDIR": str(scratch),
            "STATE_DIR": str(scratch / "state"),
        }
        if self._data_dir is not None:
            environment |= {"S3_PERSIST": "1", "S3_DATA_DIR": str(self._data_dir)}
        return environment


def ensure_bucket(endpoint: str, access_key: str, secret_key: str, name: str) -> None:
    """Create a bucket in any S3 store, unless it exists.

    :raises StoreUnavailable: with the reason, but without the keys.
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
    """Let web pages from any origin use a bucket through signed URLs."""
    s3_client(endpoint, access_key, secret_key).put_bucket_cors(
        Bucket=name,
        CORSConfiguration={"CORSRules": [CORS_RULE]},  # type: ignore[list-item]
    )


@lru_cache
def s3_client(endpoint: str, access_key: str, secret_key: str, *, patient: bool = True) -> S3Client:
    """Return a client that ignores the environment and configuration files.

    :param patient: whether to retry failed requests.
    """
    settings = Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=10,
        retries={"total_max_attempts": 3 if patient else 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Never use a proxy for this machine.
        proxies={} if urlsplit(endpoint).hostname == HOST else None,
    )
    # Ignore AWS_PROFILE, which may even name a profile that does not exist.
    isolated = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    session = boto3.session.Session(
        access_key, secret_key, region_name=REGION, botocore_session=isolated
    )
    return session.client("s3", endpoint_url=endpoint, config=settings)


def inherited_variables() -> dict[str, str]:
    """Return the variables of this process that a local store inherits."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def free_port() -> int:
    """Return a port on which no process listens, and that none receives by chance meanwhile."""
    for port in random.sample(_PORTS, 99):
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
    raise OSError(f"no free port of 99 on {HOST}")


def _exists(client: S3Client, name: str) -> bool:
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
