"""The S3 storage of a bucket, and what lies in it."""

from __future__ import annotations

from typing import Any

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import Bucket, in_capitals
from tests.support.part_contract import PartedItem


def storage_of(bucket: Bucket, **more: Any) -> Storage:
    """Return the storage of a bucket, with settings as Flask's config has them."""
    config = in_capitals({**bucket.settings(), **more})
    return s3_storage(BaseURI.parse(bucket.base_uri), Settings.load(config, {}))


def etags_in(s3: Any, bucket: Bucket) -> dict[str, str]:
    """Return the ETags of at most 1,000 objects, by key."""
    found = s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in found}


def checksum_of(s3: Any, bucket: Bucket, parted: PartedItem) -> str | None:
    """Return the MD5 in the user metadata of an item, where dtool reads it."""
    key = f"{parted.upload.uuid}/data/{parted.item.identifier}"
    metadata: dict[str, str] = s3.head_object(Bucket=bucket.name, Key=key)["Metadata"]
    return metadata.get("checksum")
