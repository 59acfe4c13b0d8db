"""Checks of S3's signatures, which cover the host and headers, and of the key that signs them."""

from __future__ import annotations

from contextlib import suppress

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.context import ANNOUNCED, OTHER, CheckContext, Sample
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

_FORWARD_HOST = (
    "Let the proxy forward the Host header unchanged (nginx: proxy_set_header Host $http_host), or "
    "set DTOOL_S3_PUBLIC_ENDPOINT_<bucket> to the address that the store knows."
)


def signature(context: CheckContext[BucketProbe]) -> CheckResult:
    """GET an object that does not exist, through a signed URL."""
    try:
        return urls.signature(context)
    except Refused as refusal:
        if refusal.code != "SignatureDoesNotMatch":
            raise
        return _mismatch(context, refusal)


def _mismatch(context: CheckContext[BucketProbe], refusal: Refused) -> CheckResult:
    """Find out what differs: the region, the key, or the host that the store sees."""
    with suppress(Refused):
        signed, reported = context.probe.regions()
        if reported not in (None, signed):
            return failed(f"{refusal}; the bucket is in {reported}, not in {signed}", *REGION)
    endpoint = context.probe.endpoint
    if endpoint == context.probe.public_endpoint:
        means = (
            "A proxy in front of the store changes the Host header or the path, or a key is wrong."
        )
        advice = f"{_FORWARD_HOST} Or correct DTOOL_S3_SECRET_ACCESS_KEY_<bucket>."
        return failed(str(refusal), means, advice)
    absent = context.key("absent")
    if not _is_accepted(context, context.probe.internal_url(absent)):
        return failed(f"{refusal}, at {endpoint} too", *NO_SIGNATURE)
    if _is_accepted(context, context.probe.misdirected_url(absent)):
        means = (
            "A proxy in front of the store changes the Host header, which is part of the signature."
        )
        return failed(f"{refusal}; accepted if signed for {endpoint}", means, _FORWARD_HOST)
    means = "The key is right: a proxy in front of the store changes the Host header or the path."
    return failed(f"{refusal}, but not at {endpoint}", means, _FORWARD_HOST)


def _is_accepted(context: CheckContext[BucketProbe], url: str) -> bool:
    return context.client.send("GET", url).code in context.terms.not_found


def pinned_put(context: CheckContext[BucketProbe]) -> CheckResult:
    """PUT the announced bytes with signed headers; a PUT without them has succeeded before."""
    try:
        return urls.pinned_put(context)
    except Refused as refusal:
        if refusal.status >= 500:
            raise
        return failed(str(refusal), *SIGNED_HEADERS)


def other_pin(context: CheckContext[BucketProbe]) -> CheckResult:
    """PUT other bytes to a pinned URL, with the headers of these bytes."""
    key = context.key("other-pin")
    announced, other = (
        context.probe.pinned_put(key, ANNOUNCED),
        context.probe.pinned_put(key, OTHER),
    )
    return urls.refused_or_failed(
        context.put(SignedRequest(announced.url, other.headers), OTHER),
        "The headers are part of the signature.",
        "The store does not check signed headers: whoever has a URL can change a dataset.",
        "Use a store that verifies SignedHeaders.",
    )


def writing(context: CheckContext[BucketProbe]) -> CheckResult:
    """Report how uploads are set up."""
    layout = "pinned, or staged" if context.probe.pins else "all staged"
    if context.probe.has_write_key():
        return ok(f"{layout}; a key of their own", "A separate key signs write URLs.")
    return ok(f"{layout}; the server's key", "The key that signs write URLs can also read.")


def staged_put(context: CheckContext[BucketProbe]) -> CheckResult:
    """PUT twice through a staged URL; the first check that uses the write key."""
    try:
        return urls.overwriting(context)
    except Refused as refusal:
        if not context.probe.has_write_key() or refusal.code not in WRITE_KEY:
            raise
        return failed(str(refusal), *WRITE_KEY[refusal.code])


def get(context: CheckContext[BucketProbe]) -> CheckResult:
    """GET a scratch object, or any other object if the doctor may not write."""
    try:
        context.sample = urls.written_sample(context)
    except (Refused, StorageUnavailable):
        found = context.probe.any_key()
        context.sample = None if found is None else Sample(found, None)
    answer = context.read()
    if context.sample is None and answer.code == "NoSuchKey":
        return ok(answer.summary, "The bucket is empty, and people may read it.")
    return urls.as_written(context, answer)
