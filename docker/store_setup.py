"""Creates the two buckets of the store, registers them, and sets their lifecycle rules.

Runs at each start; buckets and base URIs that exist are left as they are. The environment is that
of dserver, with the variables of store-setup in docker/store.yml.
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

# The longest life of URLs. Parts of abandoned uploads are in no listing of objects.
DAYS_OF_PARTS = "7"
EXISTS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
# The store's health check succeeds a moment before the store can create buckets.
ATTEMPTS = 8
# Exit code of Flask's commands.
WRONG_USAGE = 2


def main() -> int:
    """Set the store up; return the exit code."""
    bucket, temporary = os.environ["BUCKET"], os.environ["TEMP_BUCKET"]
    if bucket == temporary:
        return failed(
            "TEMP_BUCKET must not be BUCKET: what is in it is deleted when TEMP_DAYS have passed."
        )
    try:
        create_buckets(bucket, temporary)
    except (BotoCoreError, ClientError) as error:
        return failed(f"The store cannot create the buckets: {error}")
    info = ScriptInfo(os.environ["FLASK_APP"])
    app = info.load_app()
    for name, lifetime in ((bucket, []), (temporary, ["--days", os.environ["TEMP_DAYS"]])):
        register(app, f"s3://{name}")
        command = ["lifecycle", "set", f"s3://{name}", *lifetime, "--ephemeral"]
        code = run_flask(info, *command, "--abort-incomplete-days", DAYS_OF_PARTS)
        if code:
            return failed(
                without_rules(name, days_are_wrong=bool(lifetime) and code == WRONG_USAGE)
            )
    return 0


def without_rules(name: str, *, days_are_wrong: bool) -> str:
    """Say that a bucket has no rules; the command has said why."""
    end = "; is TEMP_DAYS right?" if days_are_wrong else "."
    return f"The lifecycle rules of s3://{name} were not set{end}"


def create_buckets(*names: str) -> None:
    """Create the buckets that do not exist, with the key of the store's administrator."""
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
    """Register a base URI that dserver does not know, without any permissions."""
    with app.app_context():
        if not dservercore.utils.base_uri_exists(base_uri):
            dservercore.utils.register_base_uri(base_uri)


def run_flask(info: ScriptInfo, *arguments: str) -> int:
    """Run a command of Flask, which says itself what goes wrong; return its exit code."""
    try:
        FlaskGroup().main(arguments, prog_name="flask", obj=info)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def failed(sentence: str) -> int:
    """Log a sentence; return the exit code of a failure."""
    sys.stderr.write(f"{sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
