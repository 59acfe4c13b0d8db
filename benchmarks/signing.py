"""Microseconds per signed URL: the plugin, other libraries with the same keys, and bare hashes."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from dserver_signed_url_plugin.filenames import served_as
from dserver_signed_url_plugin.storage.azure.layout import item_headers
from dserver_signed_url_plugin.storage.azure.sas import CREATE, READ, BlobSigner
from dserver_signed_url_plugin.storage.s3.layout import item_metadata, pinned_headers, served
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint, QuerySigner
from dserver_signed_url_plugin.storage.values import Item

URLS, ROUNDS = 1_000, 25
GET, NAMED, PINNED = "S3: GET", "S3: GET under the item's name", "S3: pinned PUT"
AZURE_GET, AZURE_NAMED, AZURE_PUT = "Azure: GET", "Azure: GET under the item's name", "Azure: PUT"

_HOST, _BUCKET, _REGION = "s3.example.org", "bucket", "eu-central-1"
_ACCESS_KEY, _SECRET_KEY = "AKIDEXAMPLE", "a-secret-that-opens-nothing"
_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
_ACCOUNT, _UUID = "account", "550e8400-e29b-41d4-a716-446655440000"
_ACCOUNT_KEY = base64.b64encode(b"a-key-that-opens-nothing").decode()
_LIFE = timedelta(hours=1)
_SIGNED_BYTES = 420  # of the canonical request of a GET
_ENDS = datetime.now(timezone.utc) + _LIFE

Sign = Callable[[Item], object]


@dataclass
class Speed:
    """Microseconds per URL of one kind, by library, and those of the hashes alone."""

    kind: str
    floor: float
    by: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times the hashes alone the plugin takes."""
        return self.by["plugin"] / self.floor

    def as_json(self) -> dict[str, Any]:
        """Return the fields, by name."""
        return asdict(self)


def measure(urls: int = URLS, rounds: int = ROUNDS, *, alone: bool = False) -> list[Speed]:
    """Measure all kinds and libraries in turn, and take the best round of each.

    :param alone: leave out the other libraries.
    """
    items = [
        Item(f"{number:040x}", f"run/frame_{number:06}.tif", 0, _MD5) for number in range(urls)
    ]
    signers: dict[str, Mapping[str, Sign]] = {"plugin": {**_plugin_s3(), **_plugin_azure()}}
    if not alone:
        others = {"botocore": _botocore(), "minio": _minio(), "Azure SDK 2.1": _azure_sdk()}
        signers.update(others)
    floors = {kind: _floor(kind, sign, items[0]) for kind, sign in signers["plugin"].items()}
    speeds = {kind: Speed(kind, float("inf")) for kind in floors}
    for number in range(rounds):
        for kind, speed in speeds.items():
            speed.floor = min(speed.floor, _micros(floors[kind], items))
            for library, signs in signers.items():
                # The others take up to a hundred times as long.
                if kind in signs and (library == "plugin" or number < 2):
                    taken = _micros(signs[kind], items if library == "plugin" else items[:300])
                    speed.by[library] = min(speed.by.get(library, taken), taken)
    return list(speeds.values())


def _micros(sign: Sign, items: list[Item]) -> float:
    sign(items[0])
    started = time.process_time()
    for item in items:
        sign(item)
    return (time.process_time() - started) / len(items) * 1e6


def _floor(kind: str, sign: Sign, item: Item) -> Sign:
    """Return what cannot be left out: to hash a text as long as the signed one, and its HMAC."""
    key, scope = bytes(32), bytes(140)
    if kind.startswith("Azure"):
        signed = bytes(200 if kind == AZURE_NAMED else 120)
        return lambda _: base64.b64encode(hmac.digest(key, signed, "sha256"))
    request = bytes(_SIGNED_BYTES)
    if kind == NAMED:
        plain = _plugin_s3()[GET]
        more = len(urlsplit(str(sign(item))).query) - len(urlsplit(str(plain(item))).query)
        request = bytes(_SIGNED_BYTES + more)
    return lambda _: (sha256(request).hexdigest(), hmac.digest(key, scope, "sha256").hex())


def _plugin_s3() -> dict[str, Sign]:
    place = Endpoint("https", _HOST, f"/{_BUCKET}/", _REGION)
    credentials = Credentials(_ACCESS_KEY, _SECRET_KEY)
    sign = QuerySigner(place, credentials, datetime.now(timezone.utc), 3600).sign
    # Revision f0752d6 and older: a mapping.
    served_in = "query" if isinstance(served("a", "inline"), str) else "parameters"
    return {
        GET: lambda item: sign("GET", item.identifier),
        NAMED: lambda item: sign(
            "GET", item.identifier, **{served_in: served(item.relpath, "attachment")}
        ),
        PINNED: lambda item: sign("PUT", item.identifier, pinned_headers(item)),
    }


def _plugin_azure() -> dict[str, Sign]:
    key = base64.b64decode(_ACCOUNT_KEY)
    sign = BlobSigner(f"https://{_ACCOUNT}.blob.core.windows.net", _ACCOUNT, key, _ENDS).sign
    return {
        AZURE_GET: lambda item: sign(READ, _UUID, item.identifier),
        AZURE_NAMED: lambda item: sign(
            READ, _UUID, item.identifier, served_as(item.relpath, "attachment")
        ),
        AZURE_PUT: lambda item: (sign(CREATE, _UUID, item.identifier), item_headers(item)),
    }


def _botocore() -> dict[str, Sign]:
    client = boto3.session.Session(_ACCESS_KEY, _SECRET_KEY, region_name=_REGION).client(
        "s3", endpoint_url=f"https://{_HOST}", config=Config(signature_version="s3v4")
    )

    def sign(action: str, item: Item, **more: Any) -> str:
        parameters = {"Bucket": _BUCKET, "Key": item.identifier, **more}
        url: str = client.generate_presigned_url(action, parameters)
        return url

    def named(item: Item) -> str:
        headers = served_as(item.relpath, "attachment")
        return sign(
            "get_object",
            item,
            ResponseContentDisposition=headers.content_disposition,
            ResponseContentEncoding="identity",
            ResponseContentType=headers.content_type,
        )

    def pinned(item: Item) -> str:
        metadata = item_metadata(item.relpath, _MD5)
        return sign("put_object", item, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==", Metadata=metadata)

    return {GET: lambda item: sign("get_object", item), NAMED: named, PINNED: pinned}


def _minio() -> Mapping[str, Sign]:
    """minio-py signs no headers, so it has no pinned PUT; empty if it is not installed."""
    try:
        from minio import Minio
    except ImportError:
        return {}
    sign = Minio(
        _HOST, access_key=_ACCESS_KEY, secret_key=_SECRET_KEY, region=_REGION
    ).presigned_get_object

    def named(item: Item) -> dict[str, str]:
        headers = served_as(item.relpath, "attachment")
        return {
            "response-content-disposition": headers.content_disposition,
            "response-content-encoding": "identity",
            "response-content-type": headers.content_type,
        }

    return {
        GET: lambda item: sign(_BUCKET, item.identifier, _LIFE),
        NAMED: lambda item: sign(_BUCKET, item.identifier, _LIFE, named(item)),
    }


def _azure_sdk() -> Mapping[str, Sign]:
    """azure-storage-blob 2.1, beside which 12 cannot be installed; empty if it is not there."""
    try:
        from azure.storage.blob import BlockBlobService
    except ImportError:
        return {}
    service = BlockBlobService(_ACCOUNT, _ACCOUNT_KEY)

    def sign(permission: str, item: Item, **more: Any) -> str:
        signed = service.generate_blob_shared_access_signature(
            _UUID, item.identifier, permission=permission, expiry=_ENDS, protocol="https", **more
        )
        url: str = service.make_blob_url(_UUID, item.identifier, sas_token=signed)
        return url

    def named(item: Item) -> str:
        headers = served_as(item.relpath, "attachment")
        return sign(
            READ,
            item,
            content_disposition=headers.content_disposition,
            content_encoding="identity",
            content_type=headers.content_type,
        )

    return {
        AZURE_GET: lambda item: sign(READ, item),
        AZURE_NAMED: named,
        AZURE_PUT: lambda item: sign(CREATE, item),
    }
