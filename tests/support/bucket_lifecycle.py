"""The lifecycle rules of a bucket, set and read past dserver."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from tests.support.dserver import Bucket

ABORTING = {
    "ID": "tidy",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


def put(s3: Any, bucket: Bucket, *rules: dict[str, Any]) -> None:
    """Replace all rules by these."""
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": list(rules)}
    )


def rules(s3: Any, bucket: Bucket) -> list[dict[str, Any]]:
    """Return all rules; none if the bucket has no lifecycle configuration."""
    with suppress(ClientError):
        found: list[dict[str, Any]] = s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)[
            "Rules"
        ]
        return found
    return []
