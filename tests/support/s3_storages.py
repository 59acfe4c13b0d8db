"""The S3 storage of a bucket, and the ETags of all objects in it."""

from __future__ import annotations

from typing import Any

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.s3 import s3_storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import Bucket, in_capitals


def storage_of(bucket: Bucket, **more: Any) -> Storage:
    """Return the storage of a bucket, with settings as Flask's config has them."""
    config = in_capitals({**bucket.settings(), **more})
    return s3_storage(BaseURI.parse(bucket.base_uri), Settings.load(config, {}))


def etags_in(s3: Any, bucket: Bucket) -> dict[str, str]:
    """Return the ETags of at most 1,000 objects, by key."""
    found = s3.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in found}
