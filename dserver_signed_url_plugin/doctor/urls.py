"""Checks that follow signed URLs through the public endpoint, as people and browsers do."""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.context import ANNOUNCED, OTHER, CheckContext, Sample
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.storage.values import Refused, SignedRequest

_EXPIRED_AGE = 2 * 3600  # seconds; longer than any URL of the doctor is valid
_NO_SAMPLE = "There is no object whose content is known."


def signature(context: CheckContext[Probe]) -> CheckResult:
    """GET an object that does not exist, through a signed URL."""
    answer = context.client.send("GET", context.probe.read_url(context.key("absent")))
    if answer.code in context.terms.not_found:
        return ok(answer.summary, "The store accepts the plugin's signature.")
    raise Refused(answer.status, answer.code)


# Writing -----------------------------------------------------------------------------------


def pinned_put(context: CheckContext[Probe]) -> CheckResult:
    """PUT the announced bytes."""
    request = context.probe.pinned_put(context.key("pinned"), ANNOUNCED)
    answer = context.put(request, ANNOUNCED).raise_for_status()
    return ok(answer.summary, "The store accepts the announced bytes.")


def other_bytes(context: CheckContext[Probe]) -> CheckResult:
    """PUT other bytes to a pinned URL, with the headers as signed."""
    request = context.probe.pinned_put(context.key("other-bytes"), ANNOUNCED)
    return refused_or_failed(
        context.put(request, OTHER),
        "A pinned URL accepts only the announced bytes.",
        "The store ignores Content-MD5: whoever has a URL can change a dataset after completion.",
        "Use a store that checks Content-MD5, and no proxy that removes the header.",
    )


def overwriting(context: CheckContext[Probe]) -> CheckResult:
    """PUT twice through a staged URL."""
    for content in (ANNOUNCED, OTHER):
        url = context.probe.staged_url(context.key("staged"))
        answer = context.put(SignedRequest(url), content).raise_for_status()
    return ok(answer.summary, "An upload can be repeated until it is complete.")


# Reading -----------------------------------------------------------------------------------


def get(context: CheckContext[Probe]) -> CheckResult:
    """GET a scratch object."""
    context.sample = written_sample(context)
    return as_written(context, context.read())


def written_sample(context: CheckContext[Probe]) -> Sample:
    """Return the object that was PUT; if there is none, write one as the server does."""
    key = context.key("pinned")
    if context.probe.read(key) != ANNOUNCED:
        context.probe.write(key, ANNOUNCED.decode())
    return Sample(key, ANNOUNCED)


def as_written(context: CheckContext[Probe], answer: http.StoreResponse) -> CheckResult:
    """Compare what was read with what was written, if that is known."""
    answer.raise_for_status()
    content = context.sample.content if context.sample else None
    if content is not None and answer.body != content:
        return failed(
            f"{answer.summary}, other bytes",
            "The content differs from what was written.",
            "Look for a cache or a filter between this server and the store.",
        )
    return ok(answer.summary, "People can read through URLs.")


def byte_range(context: CheckContext[Probe]) -> CheckResult:
    """GET only the first byte."""
    if context.sample is None:
        return skipped(_NO_SAMPLE)
    answer = context.read(headers={"Range": "bytes=0-0"}).raise_for_status()
    if answer.status == 206 and len(answer.body) == 1:
        return ok(answer.summary, "An interrupted download can be continued.")
    return warning(
        f"{answer.summary}, all of it",
        "An interrupted download has to start again.",
        "Let the proxy in front of the store forward the Range header.",
    )


def head(context: CheckContext[Probe]) -> CheckResult:
    """HEAD through a URL of its own, because the method is part of the signature."""
    if context.sample is None:
        return skipped(_NO_SAMPLE)
    answer = context.read("HEAD")
    if answer.status == 200:
        return ok(answer.summary, "Clients can ask for the size of an object.")
    return warning(
        answer.summary,
        "Clients that ask for the size before a download fail.",
        "Let the proxy in front of the store forward HEAD unchanged.",
    )


def expired(context: CheckContext[Probe]) -> CheckResult:
    """GET through an expired URL."""
    return refused_or_failed(
        context.read(age=_EXPIRED_AGE),
        "URLs expire as they should.",
        "The store ignores the expiry: every link that was ever shared works for ever.",
        "Use a store that checks the expiry of URLs, and no cache that answers instead of it.",
    )


def tampered(context: CheckContext[Probe]) -> CheckResult:
    """GET through a URL whose signature was changed."""
    url, parameter, signature = context.probe.read_url(context.sample_key).rpartition(
        f"&{context.terms.signature}="
    )
    changed = f"{url}{parameter}{'0' if signature[0] != '0' else '1'}{signature[1:]}"
    return refused_or_failed(
        context.client.send("GET", changed),
        "Nobody can make a URL without the key.",
        "The store does not check signatures: anybody can read everything.",
        "Switch on authentication in the store, and use no cache that answers instead of it.",
    )


def unsigned(context: CheckContext[Probe]) -> CheckResult:
    """GET without any signature."""
    answer = context.client.send("GET", context.probe.unsigned_url(context.sample_key))
    if answer.is_refusal or answer.code in context.terms.hidden:
        return ok(answer.summary, "Nobody can read without a URL.")
    return warning(answer.summary, *context.terms.public)


def refused_or_failed(
    answer: http.StoreResponse, if_refused: str, if_accepted: str, advice: str
) -> CheckResult:
    """Return the result for a request that the store must refuse."""
    if answer.is_refusal:
        return ok(f"{answer.summary}: refused", if_refused)
    if answer.status >= 300:
        raise Refused(answer.status, answer.code)
    return failed(f"{answer.summary}: accepted", if_accepted, advice)
