"""The lifecycle of a bucket: reads its document, and writes it back with our rule in it.

Knows that a PUT replaces the whole document, whoever else has just changed it.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    LifecycleUnsettled,
    LifecycleUnsupported,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.lifecycle import Change, Lifetime, Rule
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.s3.asking import AskedBucket, Unwilling
from dserver_signed_url_plugin.storage.s3.layout import Layout, registration_key
from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document
from dserver_signed_url_plugin.uris import BaseURI

NONE_SET = "NoSuchLifecycleConfiguration"

_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_MOST_RULES = 1000
# Seconds before each attempt: AWS may answer for a while with what was there before.
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)


def read_document(bucket: AskedBucket) -> Document:
    """Read a bucket's lifecycle document, byte for byte.

    :raises Unwilling: also with NONE_SET where there is none.
    """
    found = [b""]

    def take(response_dict: dict[str, Any], **_: Any) -> None:
        # boto3 would parse it, and drop what it does not know.
        if response_dict["status_code"] == 200:
            found[0], response_dict["body"] = response_dict["body"], b""

    with bucket.hooked("before-parse.s3.GetBucketLifecycleConfiguration", take):
        bucket.ask("get_bucket_lifecycle_configuration")
    return Document(found[0])


def write_document(bucket: AskedBucket, document: Document) -> None:
    """Replace a bucket's lifecycle document; one without rules is deleted."""
    if not document.rules:
        bucket.ask("delete_bucket_lifecycle")
        return
    md5 = hashlib.md5(document.xml, usedforsecurity=False).digest()

    def give(params: dict[str, Any], **_: Any) -> None:
        params["body"] = document.xml
        params["headers"]["Content-MD5"] = base64.b64encode(md5).decode()

    with bucket.hooked("before-call.s3.PutBucketLifecycleConfiguration", give):
        bucket.ask("put_bucket_lifecycle_configuration")


class S3Lifecycle:
    """The lifecycle rules of one bucket, over a connection of its own."""

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = AskedBucket(base_uri.location, settings)

    def rules(self) -> Sequence[Rule]:
        """Return every rule, ours and other people's."""
        return _told(self._read())

    def document(self) -> str:
        """Return the bucket's XML, indented; without a rule where there is none."""
        return str(self._read())

    def reached(self, prefix: str, uuids: Sequence[str]) -> Sequence[str]:
        """Return those datasets of which a key begins with prefix.

        Where the key names alone do not tell, at one request for each dataset.
        """
        here = self._s3.dataset_prefix

        def is_reached(uuid: str) -> bool:
            if registration_key(uuid).startswith(prefix) or _meet(prefix, here, uuid):
                return True
            # It may have been put here when the setting was another.
            registered = self._s3.get(registration_key(uuid)) or b""
            return _meet(prefix, registered.decode(errors="replace"), uuid)

        return [uuid for uuid, yes in zip(uuids, each(is_reached, uuids), strict=True) if yes]

    def planned(self, wanted: Lifetime | None) -> Change:
        """Return what `change` would do, without doing it."""
        document = self._read()
        after = document if document.has(wanted) else document.changed(wanted)
        return Change(_told(document), _told(after))

    def change(self, wanted: Lifetime | None) -> Change:
        """Make our rule say what is wanted, or take it away; safe to repeat.

        S3 has no condition for this PUT, so what somebody else puts in the moment between the last
        reading and ours cannot be noticed. Hence the last reading is the request right before it,
        the next one verifies it, and every rule of others seen in any reading is there at the end.

        :raises LifecycleUnsettled: if the store does not show it after several attempts.
        """
        first = self._read()
        if first.has(wanted):
            return Change(_told(first), _told(first))
        seen = dict(first.others)
        for pause in _PAUSES:
            time.sleep(pause)
            document = self._read()
            others = document.others
            lost = [xml for name, xml in seen.items() if name not in others]
            if document.has(wanted) and not lost:
                return Change(_told(first), _told(document))
            seen |= others
            self._write(document.changed(wanted, lost))
        raise LifecycleUnsettled(
            f"The store does not show the lifecycle rules of {self._s3.bucket} as they were "
            "written: somebody else keeps changing them, or it keeps a part of our rule only "
            "(MinIO drops --abort-incomplete-days, and clears unfinished uploads by itself). "
            "Look with `flask lifecycle show`, and call again."
        )

    def _read(self) -> Document:
        try:
            with self._in_sentences():
                return read_document(self._s3)
        except Unwilling as refusal:
            if refusal.code != NONE_SET:
                raise
            return Document()

    def _write(self, document: Document) -> None:
        if len(document.rules) > _MOST_RULES:
            raise LifecycleUnsettled(
                f"{self._s3.bucket} has {_MOST_RULES:,} lifecycle rules, the most that S3 keeps; "
                "remove one, and call again."
            )
        with self._in_sentences():
            write_document(self._s3, document)

    @contextmanager
    def _in_sentences(self) -> Iterator[None]:
        bucket = self._s3.bucket
        try:
            yield
        except Unwilling as refusal:
            if refusal.code in _UNKNOWN:
                raise LifecycleUnsupported(
                    f"The store of {bucket} has no lifecycle rules; delete old objects by its own "
                    "means, and let `flask lifecycle sweep` follow."
                ) from refusal
            if refusal.code == "NoSuchBucket":
                raise StorageUnavailable(f"The store has no bucket {bucket}.") from refusal
            if refusal.code == "AccessDenied":
                raise StorageUnavailable(
                    f"The store does not let the server touch the lifecycle of {bucket}: grant it "
                    "s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration."
                ) from refusal
            raise


def _told(document: Document) -> Sequence[Rule]:
    return [rule.told() for rule in document.rules]


def _meet(prefix: str, dataset_prefix: str, uuid: str) -> bool:
    """Tell whether a dataset below this prefix of its own may have a key with that prefix."""
    root = Layout(dataset_prefix, uuid).root
    return root.startswith(prefix) or prefix.startswith(root)
