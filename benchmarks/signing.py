"""Microseconds per signed URL: this plugin's signer beside botocore's, on the same keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

import boto3
from botocore.config import Config

from dserver_signed_url_plugin.storage.base import Item
from dserver_signed_url_plugin.storage.s3.layout import item_metadata, pinned_headers
from dserver_signed_url_plugin.storage.sigv4 import Credentials, Place, QuerySigner

URLS = 5000
ENDPOINT, BUCKET, REGION = "https://s3.example.org", "bucket", "eu-central-1"
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "a-secret-that-opens-nothing"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def measure() -> list[tuple[str, float, float]]:
    """Return (what, ours, botocore's), in microseconds per URL."""
    client = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION).client(
        "s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4")
    )
    place = Place("https", "s3.example.org", f"/{BUCKET}/", REGION)
    signer = QuerySigner(
        place, Credentials(ACCESS_KEY, SECRET_KEY), datetime.now(timezone.utc), 3600
    )
    items = [Item(f"{number:040x}", f"data/{number}.raw", 0, MD5) for number in range(URLS)]

    def theirs(item: Item, pinned: bool) -> None:
        more = {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="} if pinned else {}
        metadata = {"Metadata": item_metadata(item.relpath, MD5)} if pinned else {}
        client.generate_presigned_url(
            "put_object" if pinned else "get_object",
            Params={"Bucket": BUCKET, "Key": item.identifier, **more, **metadata},
        )

    def ours(item: Item, pinned: bool) -> None:
        if pinned:
            signer.sign("PUT", item.identifier, pinned_headers(item))
        else:
            signer.sign("GET", item.identifier)

    return [
        (what, _micros(ours, items, pinned), _micros(theirs, items, pinned))
        for what, pinned in (("GET", False), ("pinned PUT, with its headers", True))
    ]


def _micros(sign: Callable[[Item, bool], None], items: list[Item], pinned: bool) -> float:
    sign(items[0], pinned)
    started = time.perf_counter()
    for item in items:
        sign(item, pinned)
    return (time.perf_counter() - started) / len(items) * 1e6
