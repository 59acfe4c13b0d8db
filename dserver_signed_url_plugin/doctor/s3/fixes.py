"""Commands and settings against failures, with all names filled in.

They keep unsigned headers from doing harm, and let web pages use the bucket. Sources: AWS CLI
Command Reference; Ceph, "Admin Guide" and "Bucket Policies"; MinIO, "mc admin" and its settings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from shlex import quote
from typing import Any

from dserver_signed_url_plugin.doctor import browsers
from dserver_signed_url_plugin.doctor.context import CheckContext
from dserver_signed_url_plugin.doctor.findings import Fix
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.values import Refused

COPIES = frozenset({"copy-source", "copy-elsewhere"})
CHANGES = frozenset({"acl", "tagging", "redirect", "headers", "encryption"})

_LONGEST_USER = 64  # characters, in AWS


def fixes(context: CheckContext[BucketProbe], failed: Collection[str]) -> Iterator[Fix]:
    """Yield fixes for failed checks of unsigned headers and of CORS rules."""
    if context.origin is not None and not browsers.FAILURES.isdisjoint(failed):
        yield from _cors(context.probe, context.origin)
    yield from _against_unsigned_headers(context, failed)


def _cors(probe: BucketProbe, origin: str) -> Iterator[Fix]:
    """Yield the rule that lets web pages of an origin read and upload."""
    rule = {
        "AllowedOrigins": [origin],
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["Content-MD5", "Content-Type", "x-amz-meta-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
    yield Fix(
        "CORS (this replaces the bucket's rules)",
        f"aws --endpoint-url {quote(probe.endpoint)} s3api put-bucket-cors --bucket {probe.bucket} "
        f"--cors-configuration {quote(json.dumps({'CORSRules': [rule]}))}",
    )
    yield Fix(
        "CORS on MinIO, in its environment (origins of all buckets, separated by commas)",
        f"MINIO_API_CORS_ALLOW_ORIGIN={origin}",
    )


def _against_unsigned_headers(
    context: CheckContext[BucketProbe], failed: Collection[str]
) -> Iterator[Fix]:
    bucket, pins = context.probe.bucket, context.probe.pins
    settings = []
    if not COPIES.isdisjoint(failed):
        yield from _write_keys(context)
        settings += [
            f"DTOOL_S3_WRITE_ACCESS_KEY_ID_{bucket}=…",
            f"DTOOL_S3_WRITE_SECRET_ACCESS_KEY_{bucket}=…",
        ]
    if pins and not (COPIES | CHANGES).isdisjoint(failed):
        settings.append(f"SIGNED_URL_WRITES_{bucket}=staged")
    if settings:
        yield Fix("dserver's environment, then restart it", "\n".join(settings))


def _write_keys(context: CheckContext[BucketProbe]) -> Iterator[Fix]:
    """Yield how to make a write-only key pair, for each kind of store."""
    bucket, endpoint = context.probe.bucket, quote(context.probe.endpoint)
    user = f"dserver-write-{bucket}"[:_LONGEST_USER]
    owner = _owner(context)
    put = quote(json.dumps(_policy(_allowed("s3:PutObject", bucket))))
    yield Fix(
        "Ceph, as its administrator (use the printed keys of the user that ends in :write)",
        "\n".join(_subuser(quote(owner), quote(f"{owner}:write"))),
    )
    yield Fix(
        f"Ceph without its administrator, with the keys of another user, here {user} (this "
        f"replaces the bucket's policy)",
        f"aws --endpoint-url {endpoint} s3api put-bucket-policy --bucket {bucket} "
        f"--policy {quote(json.dumps(_bucket_policy(bucket, owner, user)))}",
    )
    yield Fix("MinIO", "\n".join(_in_minio(endpoint, user, put)))
    yield Fix("AWS", "\n".join(_in_aws(user, put)))


def _subuser(owner: str, subuser: str) -> Iterator[str]:
    yield f"radosgw-admin subuser create --uid={owner} --subuser={subuser} --access=write"
    yield (
        f"radosgw-admin key create --uid={owner} --subuser={subuser} --key-type=s3 "
        "--gen-access-key --gen-secret"
    )


def _in_minio(endpoint: str, user: str, policy: str) -> Iterator[str]:
    yield f"mc alias set dserver {endpoint}"
    yield f"echo {policy} > {user}.json"
    yield f"mc admin policy create dserver {user} {user}.json"
    yield f"mc admin user add dserver {user}"
    yield f"mc admin policy attach dserver {user} --user {user}"


def _in_aws(user: str, policy: str) -> Iterator[str]:
    yield f"aws iam create-user --user-name {user}"
    yield (
        f"aws iam put-user-policy --user-name {user} --policy-name write --policy-document {policy}"
    )
    yield f"aws iam create-access-key --user-name {user}"


def _owner(context: CheckContext[BucketProbe]) -> str:
    """Return the user that the server's key belongs to; a placeholder if the store does not say."""
    try:
        return context.probe.owner() or "USER"
    except (Refused, StorageUnavailable):
        return "USER"


def _bucket_policy(bucket: str, owner: str, user: str) -> dict[str, Any]:
    """Return a bucket policy that lets another user write, and the owner read the result.

    In Ceph an object belongs to the user who PUT it and who could therefore copy it, so copying is
    denied.
    """
    copying = {"StringLike": {"s3:x-amz-copy-source": "*"}}
    return _policy(
        {**_allowed("s3:*", bucket), "Principal": _principal(owner)},
        {**_allowed("s3:PutObject", bucket), "Principal": _principal(user)},
        {
            **_allowed("s3:PutObject", bucket),
            "Effect": "Deny",
            "Principal": _principal(user),
            "Condition": copying,
        },
    )


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allowed(action: str, bucket: str) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{bucket}/*"]
    if action == "s3:*":
        resources.append(f"arn:aws:s3:::{bucket}")
    return {"Effect": "Allow", "Action": action, "Resource": resources}


def _principal(user: str) -> dict[str, Any]:
    tenant, _, name = user.rpartition("$")
    return {"AWS": [f"arn:aws:iam::{tenant}:user/{name}"]}
