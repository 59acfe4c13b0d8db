"""Examinations of a bucket by the server's own means: credentials, settings, copying.

Knows what each answer means for reading and uploading, and what to do about it.
"""

from __future__ import annotations

from datetime import datetime, timezone

from dserver_signed_url_plugin.doctor.addresses import spoken
from dserver_signed_url_plugin.doctor.context import OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.scratch import listed
from dserver_signed_url_plugin.storage.values import Refused

_BARELY_ALIVE = 60  # seconds


def bucket(case: CheckContext[BucketProbe]) -> CheckResult:
    """List, as the server does."""
    case.store.listing()
    return ok("200", "The server may list the bucket.")


def credentials(case: CheckContext[BucketProbe]) -> CheckResult:
    """Look whether URLs can live as long as the settings say."""
    end = case.store.credentials_end()
    if end is None:
        return ok("no end is known", "URLs live as long as is promised.")
    left = int((end - datetime.now(timezone.utc)).total_seconds())
    said = f"they end in {spoken(left)}"
    advice = "Use credentials that live longer, or that renew themselves in time."
    if left < _BARELY_ALIVE:
        return failed(said, "URLs signed now die at once.", advice)
    promised = max(case.settings.read_expiry, case.settings.write_expiry)
    if left < promised:
        means = f"No URL lives longer than its credentials; the settings ask for {promised} s."
        return warning(said, means, advice)
    return ok(said, "URLs live as long as is promised.")


def region(case: CheckContext[BucketProbe]) -> CheckResult:
    """Compare the region that is signed for with the one that the store names."""
    signed, named = case.store.regions()
    if named is None:
        return ok(f"signed for {signed}", "The store names no region of its own.")
    if named == signed:
        return ok(named, "URLs are signed for the bucket's region.")
    return warning(
        f"signed for {signed}, but the bucket is in {named}",
        "A store that minds regions refuses every URL.",
        f"Set DTOOL_S3_REGION_<bucket> to {named}.",
    )


def versioning(case: CheckContext[BucketProbe]) -> CheckResult:
    """Look whether what is deleted stays."""
    try:
        state = case.store.versioning()
        ended = case.store.lifecycle().ends_old_versions if state else False
    except Refused as refusal:
        return _unknown(refusal, "s3:GetBucketVersioning and s3:GetLifecycleConfiguration")
    if not state:
        return ok("off", "What is deleted is gone.")
    if ended:
        return ok(state, "Old versions end by a lifecycle rule.")
    return warning(
        f"{state}, without an end of old versions",
        "Staged and deleted objects stay as old versions, unseen, and are paid for.",
        "Add a lifecycle rule with NoncurrentVersionExpiration.",
    )


def lifecycle(case: CheckContext[BucketProbe]) -> CheckResult:
    """Look for rules that would delete datasets, or put them out of reach."""
    try:
        rules = case.store.lifecycle()
    except Refused as refusal:
        return _unknown(refusal, "s3:GetLifecycleConfiguration")
    if rules.deleting:
        return failed(
            f"rule {', '.join(rules.deleting)} expires objects",
            "The store will delete datasets by itself.",
            "Remove the rule, or narrow it to a prefix that no dataset has.",
        )
    if rules.archiving:
        return warning(
            f"rule {', '.join(rules.archiving)} archives objects",
            "Datasets will be moved to where no URL can read them.",
            "Remove the rule, or choose a storage class that is read at once.",
        )
    return ok("no rule that reaches datasets", "The store deletes nothing by itself.")


def _unknown(refusal: Refused, permission: str) -> CheckResult:
    return skipped(
        f"The store does not tell the server ({refusal}).",
        f"Grant {permission} to have it examined; nothing else needs it.",
    )


def stored(case: CheckContext[BucketProbe]) -> CheckResult:
    """List what was PUT."""
    return listed(case, {"staged": OTHER})


def copy(case: CheckContext[BucketProbe]) -> CheckResult:
    """Copy within the store, as completion does with what was staged."""
    source = case.key("staged")
    copied = case.store.copy(source, case.store.listing()[source].md5, case.key("copied"))
    if not copied or case.store.read(case.key("copied")) != OTHER:
        return failed(
            "nothing, or something else, was copied",
            "Staged uploads cannot be completed.",
            "Use a store that copies on condition of an ETag.",
        )
    return ok("200", "The server may copy what was staged.")


def wrong_copy(case: CheckContext[BucketProbe]) -> CheckResult:
    """Copy on a condition that does not hold."""
    if case.store.copy(case.key("staged"), "0" * 32, case.key("wrongly-copied")):
        return warning(
            "200",
            "The store copies what is no longer as verified; completion finds that by listing.",
            "Nothing has to be done; a newer version of the store may hold the condition.",
        )
    return ok("refused", "A staged object that changes after it was verified is not taken.")
