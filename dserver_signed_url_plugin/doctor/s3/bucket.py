"""Checks of a bucket with the server's own key: credentials, configuration, copying."""

from __future__ import annotations

from datetime import datetime, timezone

from dserver_signed_url_plugin.doctor.addresses import duration
from dserver_signed_url_plugin.doctor.context import OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.scratch import listed
from dserver_signed_url_plugin.storage.values import Refused

_EXPIRED_WITHIN = 60  # seconds


def bucket(context: CheckContext[BucketProbe]) -> CheckResult:
    """List the bucket, as the server does."""
    context.probe.listing()
    return ok("200", "The server may list the bucket.")


def credentials(context: CheckContext[BucketProbe]) -> CheckResult:
    """Check whether the credentials outlive URLs with the configured lifetime."""
    end = context.probe.credentials_expiry()
    if end is None:
        return ok("no expiry is known", "URLs work for as long as promised.")
    left = int((end - datetime.now(timezone.utc)).total_seconds())
    answered = f"they expire in {duration(left)}"
    advice = "Use credentials that live longer, or that are renewed in time."
    if left < _EXPIRED_WITHIN:
        return failed(answered, "URLs that are signed now expire at once.", advice)
    configured = max(context.settings.read_expiry, context.settings.write_expiry)
    if left < configured:
        means = f"URLs expire with the credentials, before the configured {configured} s."
        return warning(answered, means, advice)
    return ok(answered, "URLs work for as long as promised.")


def region(context: CheckContext[BucketProbe]) -> CheckResult:
    """Compare the region that URLs are signed for with the one that the store reports."""
    signed, reported = context.probe.regions()
    if reported is None:
        return ok(f"signed for {signed}", "The store does not report a region.")
    if reported == signed:
        return ok(reported, "URLs are signed for the bucket's region.")
    return warning(
        f"signed for {signed}, but the bucket is in {reported}",
        "A store that checks the region refuses every URL.",
        f"Set DTOOL_S3_REGION_<bucket> to {reported}.",
    )


def versioning(context: CheckContext[BucketProbe]) -> CheckResult:
    """Check whether the bucket keeps deleted objects as old versions."""
    try:
        state = context.probe.versioning()
        expire = context.probe.lifecycle().ends_old_versions if state else False
    except Refused as refusal:
        return _unknown(refusal, "s3:GetBucketVersioning and s3:GetLifecycleConfiguration")
    if not state:
        return ok("off", "Deleted objects are gone.")
    if expire:
        return ok(state, "A lifecycle rule expires old versions.")
    return warning(
        f"{state}, and old versions never expire",
        "Staged and deleted objects remain as hidden old versions, and are paid for.",
        "Add a lifecycle rule with NoncurrentVersionExpiration.",
    )


def lifecycle(context: CheckContext[BucketProbe]) -> CheckResult:
    """Look for rules that would delete or archive datasets."""
    try:
        rules = context.probe.lifecycle()
    except Refused as refusal:
        return _unknown(refusal, "s3:GetLifecycleConfiguration")
    if rules.deleting:
        return failed(
            f"rule {', '.join(rules.deleting)} expires objects",
            "The store will delete datasets.",
            "Remove the rule, or restrict it to a prefix that no dataset has.",
        )
    if rules.archiving:
        return warning(
            f"rule {', '.join(rules.archiving)} archives objects",
            "The store will archive datasets, and no URL can read archived objects.",
            "Remove the rule, or choose a storage class with immediate access.",
        )
    return ok("no rule affects datasets", "The store does not delete datasets.")


def _unknown(refusal: Refused, permission: str) -> CheckResult:
    return skipped(
        f"The server's key may not look this up ({refusal}).",
        f"Grant {permission} to have it checked; nothing else needs it.",
    )


def stored(context: CheckContext[BucketProbe]) -> CheckResult:
    """List what was PUT."""
    return listed(context, {"staged": OTHER})


def copy(context: CheckContext[BucketProbe]) -> CheckResult:
    """Copy within the store, as completion does with staged objects."""
    source, target = context.key("staged"), context.key("copied")
    copied = context.probe.copy(source, context.probe.listing()[source].md5, target)
    if not copied or context.probe.read(target) != OTHER:
        return failed(
            "nothing, or something else, was copied",
            "Staged uploads cannot be completed.",
            "Use a store that supports conditional copies (x-amz-copy-source-if-match).",
        )
    return ok("200", "The server may copy staged objects.")


def wrong_copy(context: CheckContext[BucketProbe]) -> CheckResult:
    """Copy with a condition that is not met."""
    if context.probe.copy(context.key("staged"), "0" * 32, context.key("wrongly-copied")):
        return warning(
            "200",
            "The store also copies objects that have changed since they were verified; completion "
            "detects that by listing them.",
            "Nothing; a newer version of the store may check the condition.",
        )
    return ok("refused", "An object that changes after its verification is not copied.")
