"""The lifecycle of a bucket: reads its document, and writes it back with our rule in it.

Knows that a PUT replaces the whole document, whoever else has just changed it.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    LifecycleUnsettled,
    LifecycleUnsupported,
    StorageMisconfigured,
    StorageUnavailable,
)
from dserver_signed_url_plugin.storage.cache import CachedAnswer
from dserver_signed_url_plugin.storage.lifecycle import Change, Retention, Rule
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.s3 import response_checks
from dserver_signed_url_plugin.storage.s3.bucket_admin import BucketAdmin, BucketRefusal
from dserver_signed_url_plugin.storage.s3.layout import Layout, is_folder, registration_key
from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.values import StoredItem
from dserver_signed_url_plugin.uris import BaseURI

NONE_SET = "NoSuchLifecycleConfiguration"

_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_MOST_RULES = 1000
# AWS goes back to its default where a PUT does not say what the last GET said.
_TRANSITION_MINIMUM = "TransitionDefaultMinimumObjectSize"
_BYTES = "DocumentAsItIs"
_OLD_VERSION_DAYS = 1  # the least that S3 takes
# Seconds before each reading: AWS may answer for a while with what was there before.
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)


def read_document(bucket: BucketAdmin) -> Document:
    """Read a bucket's lifecycle document, byte for byte.

    :raises BucketRefusal: also with NONE_SET where there is none.
    """
    bucket.hook("before-parse.s3.GetBucketLifecycleConfiguration", _keep_bytes)
    answer = bucket.ask("get_bucket_lifecycle_configuration")
    return Document(answer.get(_BYTES, b""), answer.get(_TRANSITION_MINIMUM))


def _keep_bytes(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Answer with the bytes: boto3 would parse them, and drop what it does not know."""
    if response_dict["status_code"] == 200:
        response_checks.check_root(response_dict["body"], b"LifecycleConfiguration")
        customized_response_dict.setdefault(_BYTES, response_dict["body"])
        response_dict["body"] = b""


def write_document(bucket: BucketAdmin, document: Document) -> None:
    """Replace a bucket's lifecycle document; one without rules is deleted."""
    if not document.rules:
        bucket.ask("delete_bucket_lifecycle")
        return
    md5 = hashlib.md5(document.xml, usedforsecurity=False).digest()

    def give(params: dict[str, Any], **_: Any) -> None:
        params["body"] = document.xml
        params["headers"]["Content-MD5"] = base64.b64encode(md5).decode()

    with bucket.hooked("before-call.s3.PutBucketLifecycleConfiguration", give):
        minimum = document.transition_minimum
        headers = {} if minimum is None else {_TRANSITION_MINIMUM: minimum}
        bucket.ask("put_bucket_lifecycle_configuration", **headers)


class S3Lifecycle:
    """The lifecycle rules of one bucket, over a connection of its own."""

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = BucketAdmin(base_uri.location, settings, hasty=True)
        self._places = DatasetPrefixes(self._s3)
        self._kept = CachedAnswer(self._ask)

    def rules(self) -> Sequence[Rule]:
        """Return every rule, ours and other people's."""
        return _told(self._read().rules)

    def document(self) -> str:
        """Return the bucket's XML, indented; without a rule where there is none."""
        return str(self._read())

    def reached(self, prefix: str, uuids: Sequence[str]) -> Sequence[str]:
        """Return those datasets of which a key begins with prefix.

        Where the key names alone do not tell, at one request for each dataset.
        """
        here = self._s3.dataset_prefix

        def is_reached(uuid: str) -> bool:
            if registration_key(uuid).startswith(prefix) or _meet(prefix, Layout(here, uuid)):
                return True
            # It may have been put here when the setting was another.
            registered = self._s3.get(registration_key(uuid)) or b""
            return _meet(prefix, Layout(registered.decode(errors="replace"), uuid))

        return [uuid for uuid, yes in zip(uuids, each(is_reached, uuids), strict=True) if yes]

    def ends(self, uuid: str, identifier: str | None = None) -> datetime | None:
        """Return from when on a rule may delete a dataset's objects, or one item; None: never.

        Of the rules as they were a minute ago at most. Where one may reach the objects it costs a
        listing.
        """
        rules, layout = self._expiring(self._kept.soon(), uuid)
        if not rules:
            return None
        prefix = layout.root if identifier is None else layout.item(identifier)
        found = [entry for entry in self._s3.listing(prefix) if not is_folder(*entry)]
        ends = (rule.ends(written) for rule in rules if (written := _oldest(rule, found)))
        return min(filter(None, ends), default=None)

    def would_end(self, uuid: str, written: datetime) -> datetime | None:
        """Return from when on a rule might delete objects of all sizes, written then."""
        rules, _ = self._expiring(self._read(), uuid)
        ends = (rule.ends(written) for rule in rules if not rule.is_for_some_sizes)
        return min(filter(None, ends), default=None)

    def planned(self, wanted: Retention | None) -> Change:
        """Return what `change` would do, without doing it; raises what it would."""
        wanted, warnings = self._fitted(wanted)
        before = self._read()
        after = before if before.lacks(wanted) == () else before.changed(wanted)
        self._check_number(after)
        return Change(_told(before.rules), _told(after.rules), warnings)

    def change(self, wanted: Retention | None) -> Change:
        """Make our rule say what is wanted, or take it away; safe to repeat.

        S3 has no condition for this PUT: what somebody else changes between our reading and the
        request after it, which writes, is lost, and cannot be noticed. What others have written
        over our rule is noticed by the next reading, and every rule of theirs that was seen is
        there at the end, although its owner may have removed it in these seconds.

        :raises LifecycleUnsettled: if the store does not show it after several attempts, or shows
            it for other objects, in which case it is as it was before.
        """
        wanted, warnings = self._fitted(wanted)
        before = self._read()
        if before.lacks(wanted) == ():
            return Change(_told(before.rules), _told(before.rules), warnings)
        after = self._settled(before, wanted)
        dropped = map(_dropped, after.lacks(wanted) or ())
        return Change(_told(before.rules), _told(after.rules), (*warnings, *dropped))

    def _settled(self, before: Document, wanted: Retention | None) -> Document:
        """Write what is wanted until the store shows it, with everybody else's rules."""
        document, seen = before, dict(before.others)
        lost: Sequence[bytes] = ()
        for pause in _PAUSES:
            self._write(document.changed(wanted, lost))
            time.sleep(pause)
            document = self._read()
            lost = document.lost(seen)
            if document.lacks(wanted) is not None and not lost:
                return document
            is_changed = _told(document.ours) != _told(before.ours)
            if is_changed and wanted is not None and document.misdirects(wanted):
                self._take_back(document, before.ours)
            seen |= document.others
        raise LifecycleUnsettled(
            f"The store does not show the lifecycle rules of {self._s3.bucket} as they were "
            "written: somebody else keeps changing them, or it does not keep our rule. Look with "
            "`flask lifecycle show`, and call again."
        )

    def _fitted(self, wanted: Retention | None) -> tuple[Retention | None, Sequence[str]]:
        """Let the rule delete old versions where the bucket keeps them: else it frees nothing.

        :return: also a warning if the store does not say whether it does.
        """
        if wanted is None:
            return None, ()
        try:
            is_versioned = bool(self._s3.ask("get_bucket_versioning").get("Status"))
        except BucketRefusal as refusal:
            if refusal.code in _UNKNOWN:
                return wanted, ()
            return wanted, (
                f"If {self._s3.bucket} keeps old versions, the rule leaves them there: grant the "
                "server s3:GetBucketVersioning, and call again.",
            )
        return (replace(wanted, old_version_days=_OLD_VERSION_DAYS) if is_versioned else wanted), ()

    def _take_back(self, document: Document, former: Sequence[StoredRule]) -> NoReturn:
        """Put our former rule, if any, in the place of one that reaches what it must not."""
        happened = (
            f"The store of {self._s3.bucket} shows our rule for other objects than it was given, "
            "so it would delete what it must not"
        )
        try:
            self._write(document.changed(None, [rule.xml for rule in former]))
        except StorageUnavailable as error:
            raise LifecycleUnsettled(
                f"{happened}, and does not let it be taken back: run `flask lifecycle remove "
                f"s3://{self._s3.bucket}` now."
            ) from error
        raise LifecycleUnsettled(
            f"{happened}; it was taken back. Give this store a rule without --prefix, or none."
        )

    def _expiring(self, document: Document, uuid: str) -> tuple[Sequence[StoredRule], Layout]:
        """Return the rules that may delete objects of a dataset, and where it is."""
        enabled = (rule for rule in document.rules if rule.is_enabled)
        rules = [rule for rule in enabled if rule.expires and not rule.needs_tags]
        layout = self._places.of(uuid) if rules else Layout("", uuid)
        return [rule for rule in rules if _meet(rule.prefix, layout)], layout

    def _read(self) -> Document:
        """Return what the bucket has now, and remember it."""
        return self._kept.anew()

    def _ask(self) -> Document:
        try:
            with self._in_sentences():
                return read_document(self._s3)
        except BucketRefusal as refusal:
            if refusal.code != NONE_SET:
                raise
            return Document()

    def _write(self, document: Document) -> None:
        self._check_number(document)
        with self._in_sentences():
            write_document(self._s3, document)

    def _check_number(self, document: Document) -> None:
        if len(document.rules) > _MOST_RULES:
            raise LifecycleUnsettled(
                f"{self._s3.bucket} has {_MOST_RULES:,} lifecycle rules, the most that S3 keeps; "
                "remove one, and call again."
            )

    @contextmanager
    def _in_sentences(self) -> Iterator[None]:
        bucket = self._s3.bucket
        try:
            yield
        except BucketRefusal as refusal:
            if refusal.code in _UNKNOWN:
                raise LifecycleUnsupported(
                    f"The store of {bucket} has no lifecycle rules; delete old objects by its own "
                    "means"
                ) from refusal
            if refusal.code == "NoSuchBucket":
                raise StorageMisconfigured("The store", f"has no bucket {bucket}") from refusal
            if refusal.code == "AccessDenied":
                raise StorageMisconfigured(
                    f"The store of {bucket}",
                    "does not let the server touch its lifecycle rules: grant it "
                    "s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration",
                ) from refusal
            raise


def _told(rules: Sequence[StoredRule]) -> Sequence[Rule]:
    return [rule.told() for rule in rules]


def _oldest(rule: StoredRule, found: Iterable[tuple[str, StoredItem]]) -> datetime | None:
    """Return when (UTC) the first of the objects was written that a rule reaches."""
    reached = (
        stored.last_modified for key, stored in found if rule.reaches(key, stored.size_in_bytes)
    )
    return min(reached, default=None)


def _dropped(part: str) -> str:
    return (
        f"The store does not show this part of the rule: {part}. (MinIO leaves out what becomes of "
        "unfinished uploads, and clears them by itself.)"
    )


def _meet(prefix: str, layout: Layout) -> bool:
    """Tell whether a dataset that is there may have a key with this prefix."""
    root = layout.root
    return root.startswith(prefix) or prefix.startswith(root)
