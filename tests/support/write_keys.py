"""Key pairs of users whose permissions the store enforces, as that to write to one bucket."""

from __future__ import annotations

import json
from contextlib import suppress

import boto3

from tests.support.dserver import Bucket

ONLY_WRITES = {"Effect": "Allow", "Action": ["s3:PutObject"]}


def key_of_new_user(bucket: Bucket, user: str, policy: str) -> tuple[str, str]:
    """Make a user who may do what a policy says; return an access key ID and secret of the user."""
    iam = boto3.client(
        "iam",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    )
    try:
        # A worker of the tests that comes back to a module makes its users again.
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="may", PolicyDocument=policy)
        made = iam.create_access_key(UserName=user)["AccessKey"]
    finally:
        iam.close()
    return made["AccessKeyId"], made["SecretAccessKey"]


def write_key_settings(bucket: Bucket, key: tuple[str, str]) -> dict[str, str]:
    """Return the settings with which a dserver signs writes with this key."""
    return {
        f"DTOOL_S3_WRITE_ACCESS_KEY_ID_{bucket.name}": key[0],
        f"DTOOL_S3_WRITE_SECRET_ACCESS_KEY_{bucket.name}": key[1],
    }


def write_key(bucket: Bucket) -> dict[str, str]:
    """Make a user who may PutObject in this bucket; return the settings with the user's keys."""
    statement = {**ONLY_WRITES, "Resource": [f"arn:aws:s3:::{bucket.name}/*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return write_key_settings(bucket, key_of_new_user(bucket, f"writer-{bucket.name}", policy))
