"""Lifecycle rules of a bucket: reads its document, and writes it back with our rule in it.

A PUT replaces the whole document, so what was written is read back and checked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    LifecycleUnsettled,
    LifecycleUnsupported,
    SignedURLError,
    StorageMisconfigured,
)
from dserver_signed_url_plugin.storage.cache import CachedAnswer
from dserver_signed_url_plugin.storage.lifecycle import Change, Retention, Rule
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.s3.bucket_admin import BucketAdmin, BucketRefusal
from dserver_signed_url_plugin.storage.s3.layout import Layout, is_folder, registration_key
from dserver_signed_url_plugin.storage.s3.lifecycle_document import Document
from dserver_signed_url_plugin.storage.s3.lifecycle_requests import (
    NONE_SET,
    read_document,
    write_document,
)
from dserver_signed_url_plugin.storage.s3.lifecycle_rules import StoredRule
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefixes
from dserver_signed_url_plugin.storage.values import StoredItem
from dserver_signed_url_plugin.uris import BaseURI

_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_MAX_RULES = 1000
_OLD_VERSION_DAYS = 1  # the least that S3 takes
# Seconds before each reading: AWS may answer for a while with what was there before.
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)


class S3Lifecycle:
    """The lifecycle rules of one bucket, over a connection of its own."""

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = BucketAdmin(base_uri.location, settings, hasty=True)
        self._places = DatasetPrefixes(self._s3)
        self._kept = CachedAnswer(self._ask)

    def rules(self) -> Sequence[Rule]:
        """Return every rule, ours and others."""
        return _described(self._read().rules)

    def document(self) -> str:
        """Return the bucket's XML, indented; without a rule where there is none."""
        return str(self._read())

    def reached(self, prefix: str, uuids: Sequence[str]) -> Sequence[str]:
        """Return the datasets that have a key with this prefix.

        Where the key names alone do not tell, at one request for each dataset.
        """
        here = self._s3.dataset_prefix

        def is_reached(uuid: str) -> bool:
            if registration_key(uuid).startswith(prefix) or _meet(prefix, Layout(here, uuid).root):
                return True
            # It may have been put here when the setting was another.
            registered = self._s3.get(registration_key(uuid)) or b""
            return _meet(prefix, Layout(registered.decode(errors="replace"), uuid).root)

        return [uuid for uuid, yes in zip(uuids, each(is_reached, uuids), strict=True) if yes]

    def ends(self, uuid: str, identifier: str | None = None) -> datetime | None:
        """Return the time from which a rule may delete a dataset or one item, if any does.

        Of the rules as they were a minute ago at most. Where one may reach the objects it costs a
        listing.
        """
        rules, layout = self._expiring(self._kept.get(), uuid)
        if not rules:
            return None
        prefix = layout.root if identifier is None else layout.item(identifier)
        found = [entry for entry in self._s3.listing(prefix) if not is_folder(*entry)]
        ends = (rule.ends(written) for rule in rules if (written := _oldest(rule, found)))
        return min(filter(None, ends), default=None)

    def would_end(self, uuid: str, written: datetime) -> datetime | None:
        """Return the time from which a rule deletes objects of every size written at a time."""
        rules, _ = self._expiring(self._read(), uuid)
        ends = (rule.ends(written) for rule in rules if not rule.is_for_some_sizes)
        return min(filter(None, ends), default=None)

    def parts_end(self, uuid: str, begun: datetime) -> datetime | None:
        """Return the time from which a rule aborts what was begun at a time, if any does."""
        enabled = [rule for rule in self._kept.get().rules if rule.is_enabled]
        rules = [rule for rule in enabled if rule.aborts(begun) and not rule.needs_tags]
        root = self._places.of(uuid).root if rules else ""
        ends = (rule.aborts(begun) for rule in rules if _meet(rule.prefix, root))
        return min(filter(None, ends), default=None)

    def planned(self, wanted: Retention | None) -> Change:
        """Return what `change` would do, without doing it; raises what it would."""
        wanted, warnings = self._fitted(wanted)
        before = self._read()
        after = before if before.says(wanted) else before.changed(wanted)
        self._check_number(after)
        return Change(_described(before.rules), _described(after.rules), warnings)

    def change(self, wanted: Retention | None) -> Change:
        """Write our rule as wanted, or remove it. Idempotent.

        S3 replaces all rules at once, without any condition: what somebody else changes between
        our reading and our writing is lost, and cannot be noticed.

        :raises LifecycleUnsettled: if the store does not show our rule as it was written, or no
            longer shows another as it was. The former rules are then restored if the store lets
            them be, and the message says whether it shows them again.
        """
        wanted, warnings = self._fitted(wanted)
        before = self._read()
        if before.says(wanted):
            return Change(_described(before.rules), _described(before.rules), warnings)
        self._write(before.changed(wanted))
        try:
            shown = self._read_back(wanted, before)
        except SignedURLError as error:
            happened = f"The lifecycle rules of {self._s3.bucket} could not be read after a change"
            raise LifecycleUnsettled(self._restored(happened, before, before)) from error
        if _is_written(shown, wanted, before):
            return Change(_described(before.rules), _described(shown.rules), warnings)
        happened = (
            f"The store does not show the lifecycle rules of {self._s3.bucket} as they were "
            "written: somebody else keeps changing them, or it does not keep ours or another (a "
            "store that does not keep --prefix or --abort-incomplete-days needs a rule without)"
        )
        if shown.has_all_of(before):
            raise LifecycleUnsettled(f"{happened}. Look with `flask lifecycle show`.")
        raise LifecycleUnsettled(self._restored(happened, shown.restored(before), before))

    def _read_back(self, wanted: Retention | None, before: Document) -> Document:
        """Read the rules until they are no longer those of a stale answer."""
        for pause in _PAUSES:
            time.sleep(pause)
            shown = self._read()
            if _is_written(shown, wanted, before) or not shown.says_as(before):
                break
        return shown

    def _restored(self, happened: str, document: Document, before: Document) -> str:
        """Write a document that restores the rules of before, and read it back.

        :return: what happened, and whether the store shows the rules again as they were.
        :raises LifecycleUnsettled: if the document could not be written or read.
        """
        base_uri = f"s3://{self._s3.bucket}"
        former = f"The rules were:\n{before}" if before.rules else "There were no rules before."
        try:
            self._write(document)
            is_restored = self._read().has_all_of(document)
        except SignedURLError as error:
            raise LifecycleUnsettled(
                f"{happened}. The former rules could not be restored, and our rule may still be "
                f"active: run `flask lifecycle remove {base_uri}` now, or remove it by the store's "
                f"own means, and look with `flask lifecycle show {base_uri}`. {former}"
            ) from error
        if is_restored:
            return f"{happened}; it was taken back, and the store shows the former rules again."
        return (
            f"{happened}. The former rules were written again, but the store does not show them "
            f"as they were: look with `flask lifecycle show {base_uri}`, and set them by hand. "
            f"{former}"
        )

    def _fitted(self, wanted: Retention | None) -> tuple[Retention | None, Sequence[str]]:
        """Let the rule delete old versions too in a bucket with versioning: else it frees nothing.

        :return: also a warning if the store does not say whether it does.
        """
        if wanted is None or wanted.days is None:
            return wanted, ()
        try:
            is_versioned = bool(self._s3.ask("get_bucket_versioning").get("Status"))
        except BucketRefusal as refusal:
            if refusal.code in _UNKNOWN:
                return wanted, ()
            return wanted, (
                f"If {self._s3.bucket} keeps old versions, the rule leaves them there: grant the "
                "server s3:GetBucketVersioning, and repeat the command.",
            )
        return (replace(wanted, old_version_days=_OLD_VERSION_DAYS) if is_versioned else wanted), ()

    def _expiring(self, document: Document, uuid: str) -> tuple[Sequence[StoredRule], Layout]:
        """Return the rules that may delete objects of a dataset, and where it is."""
        enabled = (rule for rule in document.rules if rule.is_enabled)
        rules = [rule for rule in enabled if rule.expires and not rule.needs_tags]
        layout = self._places.of(uuid) if rules else Layout("", uuid)
        return [rule for rule in rules if _meet(rule.prefix, layout.root)], layout

    def _read(self) -> Document:
        """Return what the bucket has now, and remember it."""
        return self._kept.refresh()

    def _ask(self) -> Document:
        try:
            with self._refusals_explained():
                return read_document(self._s3)
        except BucketRefusal as refusal:
            if refusal.code != NONE_SET:
                raise
            return Document()

    def _write(self, document: Document) -> None:
        self._check_number(document)
        with self._refusals_explained():
            write_document(self._s3, document)

    def _check_number(self, document: Document) -> None:
        if len(document.rules) > _MAX_RULES:
            raise LifecycleUnsettled(
                f"{self._s3.bucket} has {_MAX_RULES:,} lifecycle rules, the most that S3 keeps; "
                "remove one, and repeat the command."
            )

    @contextmanager
    def _refusals_explained(self) -> Iterator[None]:
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


def _is_written(shown: Document, wanted: Retention | None, before: Document) -> bool:
    return shown.says(wanted) and not shown.lost(before)


def _described(rules: Sequence[StoredRule]) -> Sequence[Rule]:
    return [rule.described() for rule in rules]


def _oldest(rule: StoredRule, found: Iterable[tuple[str, StoredItem]]) -> datetime | None:
    """Return when (UTC) the first of the objects was written that a rule reaches."""
    reached = (
        stored.last_modified for key, stored in found if rule.reaches(key, stored.size_in_bytes)
    )
    return min(reached, default=None)


def _meet(prefix: str, root: str) -> bool:
    """Return whether a dataset that is there may have a key with this prefix."""
    return root.startswith(prefix) or prefix.startswith(root)
