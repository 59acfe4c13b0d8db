"""Measure microseconds per signed URL: this plugin and the vendor SDKs, with the same keys."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
from azure.storage.blob import BlockBlobService
from botocore.config import Config

from dserver_signed_url_plugin.filenames import served_as
from dserver_signed_url_plugin.storage.azure.layout import item_headers
from dserver_signed_url_plugin.storage.azure.sas import CREATE, READ, BlobSigner
from dserver_signed_url_plugin.storage.s3.layout import item_metadata, pinned_headers, served
from dserver_signed_url_plugin.storage.s3.sigv4 import Credentials, Endpoint, QuerySigner
from dserver_signed_url_plugin.storage.values import Item

URLS = 5000
ENDPOINT, BUCKET, REGION = "https://s3.example.org", "bucket", "eu-central-1"
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "a-secret-that-opens-nothing"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
ACCOUNT, CONTAINER = "account", "550e8400-e29b-41d4-a716-446655440000"
ACCOUNT_KEY = base64.b64encode(b"a-key-that-opens-nothing").decode()
LIFE = timedelta(hours=1)

Sign = Callable[[Item], object]


def measure() -> list[tuple[str, float, float]]:
    """Return (kind of URL, this plugin, vendor SDK), in microseconds per URL."""
    items = [Item(f"{number:040x}", f"data/{number}.raw", 0, MD5) for number in range(URLS)]
    ours, theirs = {**_s3(), **_azure()}, {**_botocore(), **_azure_sdk()}
    return [(what, _micros(ours[what], items), _micros(theirs[what], items)) for what in ours]


def _s3() -> dict[str, Sign]:
    place = Endpoint("https", "s3.example.org", f"/{BUCKET}/", REGION)
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    sign = QuerySigner(place, credentials, datetime.now(timezone.utc), 3600).sign
    return {
        "S3: GET": lambda item: sign("GET", item.identifier),
        "S3: GET under the item's name": lambda item: sign(
            "GET", item.identifier, query=served(item.relpath, "attachment")
        ),
        "S3: pinned PUT, with its headers": lambda item: sign(
            "PUT", item.identifier, pinned_headers(item)
        ),
    }


def _botocore() -> dict[str, Sign]:
    client = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION).client(
        "s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4")
    )

    def sign(method: str, item: Item, **more: Any) -> str:
        params = {"Bucket": BUCKET, "Key": item.identifier, **more}
        return client.generate_presigned_url(method, Params=params)

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
        metadata = item_metadata(item.relpath, MD5)
        return sign("put_object", item, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==", Metadata=metadata)

    return {
        "S3: GET": lambda item: sign("get_object", item),
        "S3: GET under the item's name": named,
        "S3: pinned PUT, with its headers": pinned,
    }


def _azure() -> dict[str, Sign]:
    key, ends = base64.b64decode(ACCOUNT_KEY), datetime.now(timezone.utc) + LIFE
    sign = BlobSigner(f"https://{ACCOUNT}.blob.core.windows.net", ACCOUNT, key, ends).sign
    return {
        "Azure: GET": lambda item: sign(READ, CONTAINER, item.identifier),
        "Azure: GET under the item's name": lambda item: sign(
            READ, CONTAINER, item.identifier, served_as(item.relpath, "attachment")
        ),
        "Azure: PUT, with its headers": lambda item: (
            sign(CREATE, CONTAINER, item.identifier),
            item_headers(item),
        ),
    }


def _azure_sdk() -> dict[str, Sign]:
    service, ends = BlockBlobService(ACCOUNT, ACCOUNT_KEY), datetime.now(timezone.utc) + LIFE

    def sign(permission: str, item: Item, **more: Any) -> str:
        signed = service.generate_blob_shared_access_signature(
            CONTAINER, item.identifier, permission=permission, expiry=ends, protocol="https", **more
        )
        return service.make_blob_url(CONTAINER, item.identifier, sas_token=signed)

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
        "Azure: GET": lambda item: sign(READ, item),
        "Azure: GET under the item's name": named,
        "Azure: PUT, with its headers": lambda item: sign(CREATE, item),
    }


def _micros(sign: Sign, items: list[Item]) -> float:
    sign(items[0])
    started = time.perf_counter()
    for item in items:
        sign(item)
    return (time.perf_counter() - started) / len(items) * 1e6
