"""What every refusal has in common: the envelope, a sentence, and nothing written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from dservercore import sql_db

from dserver_signed_url_plugin.demo.store import s3_client
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.blob_client import blob_service
from tests.support.dserver import Account, Bucket, Dserver
from tests.support.logged_secrets import secrets_of


def assert_refused(answer: Any, status: int, *words: str) -> None:
    """Expect this status in dserver's envelope, and a sentence with these words.

    ``answer`` is one of Flask's test client or of requests.
    """
    body = answer.json() if callable(answer.json) else answer.json
    assert answer.status_code == status, body
    assert body.keys() == {"code", "status", "message", "errors"}
    assert re.fullmatch("[a-z]+(-[a-z]+)*", body["errors"]["slug"])
    assert body["code"] == status
    assert len(body["message"].split()) > 2
    assert _reason(answer) == reason_of(body["message"])
    for word in words:
        assert word in body["message"]


def assert_store_unavailable(dserver: Dserver, answer: Any) -> None:
    """Expect a 502 and a sentence about the store, without what only the server should know."""
    assert answer.status_code == 502, answer.text
    assert answer.json.keys() == {"code", "status", "message", "errors"}
    assert answer.json["errors"] in ({"slug": "storage-unavailable"}, {"slug": "storage-away"})
    assert answer.json["message"].startswith(f"The store of {dserver.place.name} ")
    assert answer.json["message"].endswith(".")
    for secret in (*secrets_of(dserver.place), "Traceback", "http"):
        assert secret not in answer.text


def reason_of(message: str) -> str:
    """Return the first 200 characters of a message as a status line can hold them."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", message).split())
    return line.encode("latin-1", "replace").decode("latin-1")[:200].rstrip()


def _reason(answer: Any) -> str:
    if hasattr(answer, "reason"):
        return str(answer.reason)
    return str(answer.status).partition(" ")[2]


@contextmanager
def nothing_is_written(dserver: Dserver) -> Iterator[None]:
    """Expect the same pending uploads and the same objects before and after."""
    before = holdings(dserver)
    yield
    assert holdings(dserver) == before


def holdings(dserver: Dserver) -> tuple[set[str], set[str]]:
    """Return every pending UUID and every key in the bucket, or container in the account."""
    if isinstance(dserver.place, Account):
        keys = {found.name for found in blob_service(dserver.place).list_containers()}
    else:
        listing = _client(dserver.bucket).list_objects_v2(Bucket=dserver.bucket.name)
        keys = {found["Key"] for found in listing.get("Contents", ())}
    with dserver.app.app_context():
        return set(sql_db.session.scalars(sql_db.select(PendingUpload.uuid))), keys


@cache
def _client(bucket: Bucket) -> Any:
    return s3_client(bucket.endpoint, bucket.access_key, bucket.secret_key)
