"""Makes the store's two buckets, tells dserver of them, and gives them their lifecycle rules.

Runs at each start; what is there already is left as it is. The environment is that of dserver and,
in capitals below, that of docker/store.yml.
"""

from __future__ import annotations

import os
import sys

import boto3
import dservercore.utils
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo

# As long as URLs can live. Parts of uploads that were given up are in no listing of objects.
DAYS_OF_PARTS = "7"
EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
# The store's health check tells that it listens, a moment before it can make buckets.
ATTEMPTS = 8


def main() -> int:
    """Set the store up; return the exit code."""
    bucket, temporary = os.environ["BUCKET"], os.environ["TEMP_BUCKET"]
    if bucket == temporary:
        return failed(
            "TEMP_BUCKET must not be BUCKET: what is in it is deleted when TEMP_DAYS have passed."
        )
    try:
        make_buckets(bucket, temporary)
    except (BotoCoreError, ClientError) as error:
        return failed(f"The store cannot make the buckets: {error}")
    info = ScriptInfo(os.environ["FLASK_APP"])
    app = info.load_app()
    for name, lifetime in ((bucket, []), (temporary, ["--days", os.environ["TEMP_DAYS"]])):
        register(app, f"s3://{name}")
        command = ["lifecycle", "set", f"s3://{name}", *lifetime, "--ephemeral"]
        FlaskGroup().main(
            [*command, "--abort-incomplete-days", DAYS_OF_PARTS],
            prog_name="flask",
            obj=info,
            standalone_mode=False,
        )
    return 0


def make_buckets(*names: str) -> None:
    """Make buckets that do not exist, with the key of the store's administrator."""
    client = boto3.client(
        "s3",
        endpoint_url=os.environ["STORE_ENDPOINT"],
        aws_access_key_id="root",
        aws_secret_access_key=os.environ["STORE_ROOT_PASSWORD"],
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": ATTEMPTS, "mode": "standard"}),
    )
    for name in names:
        try:
            client.create_bucket(Bucket=name)
        except ClientError as refusal:
            if refusal.response["Error"].get("Code") not in EXISTS:
                raise


def register(app: Flask, base_uri: str) -> None:
    """Add a base URI that dserver does not know; nobody has a permission there yet."""
    with app.app_context():
        if not dservercore.utils.base_uri_exists(base_uri):
            dservercore.utils.register_base_uri(base_uri)


def failed(sentence: str) -> int:
    """Log a sentence; return the exit code of a failure."""
    sys.stderr.write(f"{sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
