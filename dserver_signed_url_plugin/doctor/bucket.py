"""Examinations without a signed URL: addresses, clock, the bucket, the server's own ways to it.

Knows what each answer means for reading and uploading, and what to do about it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.case import OTHER, PINNED, Case
from dserver_signed_url_plugin.doctor.findings import Outcome, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.refusals import NOT_A_STORE
from dserver_signed_url_plugin.storage.examination import Refused

_SKEW_NOTICED = 60  # seconds
_SKEW_REFUSED = 15 * 60  # by S3
_BARELY_ALIVE = 60
_STOPS_TIME = "Switch on time synchronisation (NTP) on the server, or on the store."


def inside_address(case: Case) -> Outcome:
    """Ask without a signature, to see whether a store is there."""
    return _address(case, True)


def outside_address(case: Case) -> Outcome:
    """Ask as somebody would who has no URL."""
    return _address(case, False)


def _address(case: Case, inside: bool) -> Outcome:
    setting = "DTOOL_S3_ENDPOINT_<bucket>" if inside else "DTOOL_S3_PUBLIC_ENDPOINT_<bucket>"
    try:
        answer = case.client.ask("GET", case.store.bare_url(case.key("absent"), inside))
    except http.Unreachable as unreachable:
        return failed(
            str(unreachable),
            "The store cannot be reached at this address.",
            f"Correct {setting}, or start the store; look at firewalls, names and certificates.",
        )
    if answer.status >= 500:
        return failed(answer.said, "The store, or a proxy before it, is not well.", "Try again.")
    if 300 <= answer.status < 400 and answer.code is None:
        means = "The address leads to another, and a signature holds for one address alone."
        return failed(answer.said, means, f"Set {setting} to where it leads.")
    if answer.code is None:
        return failed(answer.said, NOT_A_STORE[0], f"Correct {setting}: {NOT_A_STORE[1]}")
    return ok(answer.said, "A store answers, and asks for a signature.")


def clock(case: Case) -> Outcome:
    """Compare the store's clock with ours."""
    ahead = case.client.ask(
        "GET", case.store.bare_url(case.key("absent"), inside=True)
    ).seconds_ahead()
    if ahead is None:
        return ok("its answers have no date", "What follows shows whether the clocks agree.")
    said = f"the store's clock is {_spoken(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
    if abs(ahead) > _SKEW_REFUSED:
        means = "Too far apart: stores refuse whatever is signed now."
        return failed(said, means, _STOPS_TIME)
    if abs(ahead) > _SKEW_NOTICED:
        means = "URLs die earlier than promised, or are not valid yet when they arrive."
        return warning(said, means, _STOPS_TIME)
    return ok("the clocks agree", "URLs live as long as is promised.")


def bucket(case: Case) -> Outcome:
    """List, as the server does."""
    case.store.listing()
    return ok("200", "The server may list the bucket.")


def credentials(case: Case) -> Outcome:
    """Look whether URLs can live as long as the settings say."""
    end = case.store.credentials_end()
    if end is None:
        return ok("no end is known", "URLs live as long as is promised.")
    left = int((end - datetime.now(timezone.utc)).total_seconds())
    said = f"they end in {_spoken(left)}"
    advice = "Use credentials that live longer, or that renew themselves in time."
    if left < _BARELY_ALIVE:
        return failed(said, "URLs signed now die at once.", advice)
    promised = max(case.settings.read_expiry, case.settings.write_expiry)
    if left < promised:
        means = f"No URL lives longer than its credentials; the settings ask for {promised} s."
        return warning(said, means, advice)
    return ok(said, "URLs live as long as is promised.")


def region(case: Case) -> Outcome:
    """Compare the region that is signed for with the one that the store names."""
    signed, named = case.store.regions()
    if named is None:
        return ok(f"signed for {signed}", "The store names no region of its own.")
    if named == signed:
        return ok(named, "URLs are signed for the bucket's region.")
    return warning(
        f"signed for {signed}, but the bucket is in {named}",
        "A store that minds regions refuses every URL.",
        f"Set AWS_DEFAULT_REGION, or the region of the profile, to {named}.",
    )


def versioning(case: Case) -> Outcome:
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


def lifecycle(case: Case) -> Outcome:
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


def _unknown(refusal: Refused, permission: str) -> Outcome:
    return skipped(
        f"The store does not tell the server ({refusal}).",
        f"Grant {permission} to have it examined; nothing else needs it.",
    )


def stored(case: Case) -> Outcome:
    """List what was PUT through URLs: completion compares sizes and MD5 so."""
    found = case.store.listing()
    for name, content in (("pinned", PINNED), ("staged", OTHER)):
        object_ = found.get(case.key(name))
        if object_ is None or object_.size_in_bytes != len(content):
            return failed(
                f"{name}: {'missing' if object_ is None else 'of another size'}",
                "A listing does not show at once what was written, so no upload can be completed.",
                "Use a store whose listings are consistent.",
            )
        if object_.md5 != hashlib.md5(content, usedforsecurity=False).hexdigest():
            return failed(
                "the ETag is not the MD5",
                "Completion will report every item as different.",
                "Encrypt the bucket with SSE-S3 instead of SSE-KMS, or not at all.",
            )
    return ok("size and ETag are right", "Completion can verify what was uploaded.")


def copy(case: Case) -> Outcome:
    """Copy within the store, as completion does with what was staged."""
    source = case.key("pinned")
    copied = case.store.copy(source, case.store.listing()[source].md5, case.key("copied"))
    if not copied or case.store.read(case.key("copied")) != PINNED:
        return failed(
            "nothing, or something else, was copied",
            "Staged uploads cannot be completed.",
            "Use a store that copies on condition of an ETag.",
        )
    return ok("200", "The server may copy what was staged.")


def wrong_copy(case: Case) -> Outcome:
    """Copy on a condition that does not hold."""
    if case.store.copy(case.key("pinned"), "0" * 32, case.key("wrongly-copied")):
        return warning(
            "200",
            "The store copies what is no longer as verified; completion finds that by listing.",
            "Nothing has to be done; a newer version of the store may hold the condition.",
        )
    return ok("refused", "A staged object that changes after it was verified is not taken.")


def removal(case: Case) -> Outcome:
    """Remove the scratch objects, as clean-up removes what was given up."""
    done = case.store.remove()
    if done.kept_versions:
        return warning(
            f"{done.removed} removed, but old versions are kept",
            "The bucket keeps versions, and the server's key may not delete them.",
            f"Remove the old versions below {case.store.scratch}.",
        )
    return ok(f"{done.removed} removed", "Nothing of this examination is left in the bucket.")


def _spoken(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{round(seconds / 60)} min"
