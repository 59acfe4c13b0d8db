"""Checks of multipart uploads, in which items are sent that are too large for one PUT.

A failure is a warning where it only means that large items cannot be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.context import ANNOUNCED, OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.values import Refused, SignedRequest

_OLD = timedelta(days=7)
_UNKNOWN_UPLOAD = frozenset({"NoSuchUpload", "NoSuchKey"})
_NO_LARGE_ITEMS = "Items that are too large for one PUT cannot be uploaded."


def put(context: CheckContext[BucketProbe]) -> CheckResult:
    """PUT a part through a URL, and list it as the server does."""
    with begun_parts(context, "parts") as (key, upload_id):
        request = context.probe.part_put(key, upload_id)
        answer = context.put(request, ANNOUNCED).raise_for_status()
        found = context.probe.parts(key, upload_id) or {}
    if [part.size_in_bytes for part in found.values()] != [len(ANNOUNCED)]:
        return failed(
            "the part is not listed",
            _NO_LARGE_ITEMS,
            "Use a store whose listings of parts are consistent.",
        )
    return ok(answer.summary, "Items that are too large for one PUT can be sent in parts.")


def other_bytes(context: CheckContext[BucketProbe]) -> CheckResult:
    """PUT other bytes than those whose MD5 the URL of a part signs."""
    with begun_parts(context, "parts-bytes") as (key, upload_id):
        return urls.refused_or_failed(
            context.put(context.probe.part_put(key, upload_id, ANNOUNCED), OTHER),
            "A part whose MD5 was given is accepted only as announced.",
            "The store ignores Content-MD5: wrong parts are noticed only on completion.",
            "Use a store that checks Content-MD5, and no proxy that removes the header.",
        )


def assembled(context: CheckContext[BucketProbe]) -> CheckResult:
    """Complete a multipart upload, then PUT to its URL again."""
    if "parts" not in context.passed:
        return skipped("Requires: parts.")
    with begun_parts(context, "assembled") as (key, upload_id):
        request = context.probe.part_put(key, upload_id)
        context.put(request, ANNOUNCED).raise_for_status()
        is_done = context.probe.complete_parts(key, upload_id)
        if not is_done or context.probe.read(key) != ANNOUNCED:
            return failed(
                "nothing, or something else, was assembled",
                _NO_LARGE_ITEMS,
                "Use a store that supports multipart uploads.",
            )
        return _check_refused(context, request, "an item is complete")


def aborted(context: CheckContext[BucketProbe]) -> CheckResult:
    """Abort a multipart upload, then PUT to its URL again."""
    with begun_parts(context, "aborted") as (key, upload_id):
        request = context.probe.part_put(key, upload_id)
        context.put(request, ANNOUNCED).raise_for_status()
        context.probe.abort_parts(key, upload_id)
        return _check_refused(context, request, "an upload is cancelled")


@contextmanager
def begun_parts(context: CheckContext[BucketProbe], name: str) -> Iterator[tuple[str, str]]:
    """Begin a multipart upload; abort it at the end of the block, if the server's key may."""
    key = context.key(name)
    upload_id = context.probe.begin_parts(key)
    try:
        yield key, upload_id
    finally:
        # The check `parts-aborted` reports whether it may.
        with suppress(Refused, StorageUnavailable):
            context.probe.abort_parts(key, upload_id)


def _check_refused(
    context: CheckContext[BucketProbe], request: SignedRequest, moment: str
) -> CheckResult:
    answer = context.put(request, OTHER)
    if answer.code in _UNKNOWN_UPLOAD or answer.is_refusal:
        return ok(f"{answer.summary}: refused", f"URLs of parts no longer work when {moment}.")
    if answer.status >= 300:
        raise Refused(answer.status, answer.code)
    return failed(
        f"{answer.summary}: accepted",
        f"URLs of parts still work when {moment}.",
        "Use a store that forgets a multipart upload when it is completed or aborted.",
    )


def incomplete(context: CheckContext[BucketProbe]) -> CheckResult:
    """Look for old multipart uploads, and for the rule that ends them."""
    before = datetime.now(timezone.utc) - _OLD
    old = [begun for begun in context.probe.incomplete_uploads() if begun and begun < before]
    has_rule = context.probe.lifecycle().aborts_incomplete
    found = f"{len(old):,} older than {_OLD.days} days"
    if has_rule:
        return ok(f"{found}, and a rule", "The store deletes the parts of uploads that are old.")
    return warning(
        f"{found}, and no rule",
        "The parts of uploads that were given up stay, are paid for, and are in no listing of "
        "objects.",
        f"flask lifecycle set s3://{context.name} --abort-incomplete-days {_OLD.days} (it "
        "replaces a rule that an earlier `set` wrote: repeat its --days)",
    )
