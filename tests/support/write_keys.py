"""Key pairs of users who may write to one bucket and do nothing else, as the store enforces it."""

from __future__ import annotations

import json

import boto3

from tests.support.dserver import Bucket

ONLY_WRITES = {"Effect": "Allow", "Action": ["s3:PutObject"]}


def write_key(bucket: Bucket) -> dict[str, str]:
    """Make a user who may PutObject in this bucket; return the settings with the user's keys."""
    iam = boto3.client(
        "iam",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    )
    name = f"writer-{bucket.name}"
    policy = {**ONLY_WRITES, "Resource": [f"arn:aws:s3:::{bucket.name}/*"]}
    try:
        iam.create_user(UserName=name)
        iam.put_user_policy(
            UserName=name,
            PolicyName="writes",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
        )
        made = iam.create_access_key(UserName=name)["AccessKey"]
    finally:
        iam.close()
    return {
        f"DTOOL_S3_WRITE_ACCESS_KEY_ID_{bucket.name}": made["AccessKeyId"],
        f"DTOOL_S3_WRITE_SECRET_ACCESS_KEY_{bucket.name}": made["SecretAccessKey"],
    }
