"""CORS rules, given to a bucket or an account as commands such as those of docs/ say."""

from __future__ import annotations

import json
import shlex
from typing import Any

from azure.storage.common.models import CorsRule

from tests.support.documentation import code_blocks

PAGE = "docs/browsers.rst"
ORIGIN = "https://data.example.org"


def allow_on_bucket(s3: Any, bucket: str, origin: str = ORIGIN) -> None:
    """Replace the rules of a bucket by the documented one, with another origin."""
    [rules] = code_blocks("json", PAGE)
    rules = json.loads(rules.replace(ORIGIN, origin))
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)


def allow_on_account(blobs: Any, origin: str = ORIGIN) -> None:
    """Replace the rules of an account by the documented one, with another origin."""
    _, command = code_blocks("text", PAGE)
    run_az(blobs, command.replace(ORIGIN, origin))


def run_aws(s3: Any, command: str) -> None:
    """Do what `aws s3api put-bucket-cors` does with rules on its command line."""
    options = _options(command)
    rules = json.loads(options["--cors-configuration"])
    s3.put_bucket_cors(Bucket=options["--bucket"], CORSConfiguration=rules)


def run_az(blobs: Any, command: str) -> None:
    """Do what `az storage cors add` does, in an account without rules."""
    options = _options(command)
    rule = CorsRule(
        allowed_origins=[options["--origins"]],
        allowed_methods=options["--methods"].split(),
        max_age_in_seconds=int(options["--max-age"]),
        exposed_headers=options["--exposed-headers"].split(","),
        allowed_headers=options["--allowed-headers"].split(","),
    )
    blobs.set_blob_service_properties(cors=[rule])


def _options(command: str) -> dict[str, str]:
    words = shlex.split(command)
    return {
        word: " ".join(words[at + 1 :]).partition(" --")[0]
        for at, word in enumerate(words)
        if word.startswith("--")
    }
