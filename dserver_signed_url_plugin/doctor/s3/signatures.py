"""Examinations of what only S3's signatures have: a host, headers, and keys that may not write.

Knows what it means if the store, or a proxy before it, sees them differently.
"""

from __future__ import annotations

from contextlib import suppress

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.context import OTHER, PINNED, CheckContext, Subject
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.s3.terms import (
    NO_SIGNATURE,
    REGION,
    SIGNED_HEADERS,
    WRITE_KEY,
)
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.values import Refused, SignedRequest

_LET_HOST_BE = (
    "Let the proxy pass Host on as it comes (nginx: proxy_set_header Host $http_host), or set "
    "DTOOL_S3_PUBLIC_ENDPOINT_<bucket> to the address that the store knows."
)


def signature(case: CheckContext[BucketProbe]) -> CheckResult:
    """Sign for the public endpoint, for an object that is not there."""
    try:
        return urls.signature(case)
    except Refused as refusal:
        if refusal.code != "SignatureDoesNotMatch":
            raise
        return _mismatch(case, refusal)


def _mismatch(case: CheckContext[BucketProbe], refusal: Refused) -> CheckResult:
    """Find out what differs: the region, the key, or the host that the store is told."""
    with suppress(Refused):
        signed, named = case.store.regions()
        if named not in (None, signed):
            return failed(f"{refusal}; the bucket is in {named}, not in {signed}", *REGION)
    if case.store.inside == case.store.outside:
        means = "A proxy before the store changes the Host header or the path, or a key is wrong."
        return failed(str(refusal), means, _LET_HOST_BE)
    absent = case.key("absent")
    if not _is_taken(case, case.store.inside_url(absent)):
        return failed(f"{refusal}, and so at {case.store.inside}", *NO_SIGNATURE)
    if _is_taken(case, case.store.misdirected_url(absent)):
        means = "A proxy before the store changes the Host header, which is part of the signature."
        return failed(f"{refusal}; {case.store.inside} is taken there", means, _LET_HOST_BE)
    means = "The key is right: a proxy before the store changes the Host header or the path."
    return failed(f"{refusal}, but not at {case.store.inside}", means, _LET_HOST_BE)


def _is_taken(case: CheckContext[BucketProbe], url: str) -> bool:
    return case.client.ask("GET", url).code in case.words.absent


def pinned_put(case: CheckContext[BucketProbe]) -> CheckResult:
    """PUT the announced bytes, with signed headers, where a PUT that signs none was taken."""
    try:
        return urls.pinned_put(case)
    except Refused as refusal:
        if refusal.status >= 500:
            raise
        return failed(str(refusal), *SIGNED_HEADERS)


def other_pin(case: CheckContext[BucketProbe]) -> CheckResult:
    """PUT other bytes to a pinned URL, with headers that fit them."""
    signed, other = (case.store.pinned_put(case.key("other-pin"), pin) for pin in (PINNED, OTHER))
    return urls.refused_or_failed(
        case.put(SignedRequest(signed.url, other.headers), OTHER),
        "The headers are part of the signature.",
        "The store does not check signed headers: whoever holds a URL can change a dataset.",
        "Use a store that verifies SignedHeaders.",
    )


def writing(case: CheckContext[BucketProbe]) -> CheckResult:
    """Look how uploads are set up."""
    layout = "pinned, or staged" if case.store.pins else "all staged"
    if case.store.has_write_key():
        return ok(
            f"{layout}; a key of their own", "Write URLs are signed with a key for that alone."
        )
    return ok(f"{layout}; the server's key", "Write URLs are signed with the key that also reads.")


def staged_put(case: CheckContext[BucketProbe]) -> CheckResult:
    """PUT twice through a staged URL, the first that is signed with the key for writing."""
    try:
        return urls.overwriting(case)
    except Refused as refusal:
        if not case.store.has_write_key() or refusal.code not in WRITE_KEY:
            raise
        return failed(str(refusal), *WRITE_KEY[refusal.code])


def get(case: CheckContext[BucketProbe]) -> CheckResult:
    """GET an object: one of the doctor's, or any other where the doctor may not write."""
    try:
        case.subject = urls.written(case)
    except (Refused, StorageUnavailable):
        found = case.store.some_key()
        case.subject = None if found is None else Subject(found, None)
    answer = case.read()
    if case.subject is None and answer.code == "NoSuchKey":
        return ok(answer.said, "The bucket is empty, and the store says so: it may be read.")
    return urls.as_written(case, answer)
