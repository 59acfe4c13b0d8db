"""Examinations of what only S3's signatures have: a host, headers, and keys that may not write.

Knows what it means if the store, or a proxy before it, sees them differently.
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import urls
from dserver_signed_url_plugin.doctor.case import OTHER, PINNED, Case, Subject
from dserver_signed_url_plugin.doctor.findings import Outcome, failed, ok, warning
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.base import SignedRequest
from dserver_signed_url_plugin.storage.examination import BucketExamination, Refused


def signature(case: Case[BucketExamination]) -> Outcome:
    """Sign for the public endpoint, for an object that is not there."""
    try:
        return urls.signature(case)
    except Refused as refusal:
        if refusal.code != "SignatureDoesNotMatch":
            raise
        return _other_host(case, refusal)


def _other_host(case: Case[BucketExamination], refusal: Refused) -> Outcome:
    """Find out whether the store is told another host than people use."""
    rewritten = False
    if case.store.inside != case.store.outside:
        inside = case.client.ask("GET", case.store.read_url_inside(case.key("absent")))
        rewritten = inside.code in case.words.absent
    means = "A proxy before the store changes the Host header, which is part of the signature."
    if not rewritten:
        means = "A proxy before the store changes the Host header or the path, or a key is wrong."
    return failed(
        str(refusal) + (f"; {case.store.inside} is taken there" if rewritten else ""),
        means,
        "Let the proxy pass Host on as it comes (nginx: proxy_set_header Host $http_host), or set "
        "DTOOL_S3_PUBLIC_ENDPOINT_<bucket> to the address that the store knows.",
    )


def other_pin(case: Case[BucketExamination]) -> Outcome:
    """PUT other bytes to a pinned URL, with headers that fit them."""
    signed, other = (case.store.pinned_put(case.key("other-pin"), pin) for pin in (PINNED, OTHER))
    return urls.refused_or_failed(
        case.put(SignedRequest(signed.url, other.headers), OTHER),
        "The headers are part of the signature.",
        "The store does not check signed headers: whoever holds a URL can change a dataset.",
        "Use a store that verifies SignedHeaders.",
    )


def smuggled_copy(case: Case[BucketExamination]) -> Outcome:
    """PUT through a staged URL with a header that is not signed, and would make it a copy."""
    url = case.store.staged_url(case.key("smuggled"))
    answer = case.put(SignedRequest(url, case.store.smuggled_copy(case.key("pinned"))), OTHER)
    if answer.is_refusal:
        return ok(answer.said, "The store refuses what a URL does not sign.")
    answer.granted()
    if case.store.read(case.key("smuggled")) != PINNED:
        return ok(f"{answer.said}, ignored", "The store does only what a URL signs.")
    return warning(
        f"{answer.said}, obeyed",
        "Whoever holds a write URL can copy any other object of the bucket to where it writes.",
        "Let the proxy before the store refuse, or remove, x-amz-copy-source from requests with "
        "X-Amz-Signature in the query.",
    )


def get(case: Case[BucketExamination]) -> Outcome:
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
