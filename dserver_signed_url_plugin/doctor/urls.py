"""Examinations that follow signed URLs through the public endpoint, as people and browsers do.

Knows what a URL must do and what it must not, and what it means if the store sees it differently.
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.context import OTHER, PINNED, CheckContext, Subject
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped, warning
from dserver_signed_url_plugin.doctor.probe import Probe
from dserver_signed_url_plugin.storage.values import Refused, SignedRequest

_LONG_AGO = 2 * 3600  # seconds, for a URL that lives one minute
_NOTHING_TO_READ = "There is no object whose content is known."


def signature(case: CheckContext[Probe]) -> CheckResult:
    """Sign for the public endpoint, for an object that is not there."""
    answer = case.client.ask("GET", case.store.read_url(case.key("absent")))
    if answer.code in case.words.absent:
        return ok(answer.said, "The store takes the plugin's signature.")
    raise Refused(answer.status, answer.code)


# Writing -----------------------------------------------------------------------------------


def pinned_put(case: CheckContext[Probe]) -> CheckResult:
    """PUT the announced bytes."""
    request = case.store.pinned_put(case.key("pinned"), PINNED)
    answer = case.put(request, PINNED).granted()
    return ok(answer.said, "The store takes the announced bytes.")


def other_bytes(case: CheckContext[Probe]) -> CheckResult:
    """PUT other bytes to a pinned URL, with the headers as signed."""
    request = case.store.pinned_put(case.key("other-bytes"), PINNED)
    return refused_or_failed(
        case.put(request, OTHER),
        "A pinned URL takes the announced bytes only.",
        "The store ignores Content-MD5: whoever holds a URL can change a dataset after completion.",
        "Use a store that checks Content-MD5; let no proxy remove the header.",
    )


def overwriting(case: CheckContext[Probe]) -> CheckResult:
    """PUT twice through a staged URL."""
    for content in (PINNED, OTHER):
        url = case.store.staged_url(case.key("staged"))
        answer = case.put(SignedRequest(url), content).granted()
    return ok(answer.said, "An upload can be repeated until it is complete.")


# Reading -----------------------------------------------------------------------------------


def get(case: CheckContext[Probe]) -> CheckResult:
    """GET an object of the doctor's."""
    case.subject = written(case)
    return as_written(case, case.read())


def written(case: CheckContext[Probe]) -> Subject:
    """Return the object that was PUT, or else one that the server writes itself."""
    key = case.key("pinned")
    if case.store.read(key) != PINNED:
        case.store.write(key, PINNED.decode())
    return Subject(key, PINNED)


def as_written(case: CheckContext[Probe], answer: http.StoreResponse) -> CheckResult:
    """Compare what was read with what was written, if that is known."""
    answer.granted()
    content = case.subject.content if case.subject else None
    if content is not None and answer.body != content:
        return failed(
            f"{answer.said}, other bytes",
            "What is read is not what was written.",
            "Look for a cache or a filter between this server and the store.",
        )
    return ok(answer.said, "People can read through URLs.")


def byte_range(case: CheckContext[Probe]) -> CheckResult:
    """GET the first byte alone."""
    if case.subject is None:
        return skipped(_NOTHING_TO_READ)
    answer = case.read(headers={"Range": "bytes=0-0"}).granted()
    if answer.status == 206 and len(answer.body) == 1:
        return ok(answer.said, "A download that broke off can go on.")
    return warning(
        f"{answer.said}, all of it",
        "A download that broke off has to start again.",
        "Let the proxy before the store pass Range on.",
    )


def head(case: CheckContext[Probe]) -> CheckResult:
    """HEAD through a URL of its own: the method is part of the signature."""
    if case.subject is None:
        return skipped(_NOTHING_TO_READ)
    answer = case.read("HEAD")
    if answer.status == 200:
        return ok(answer.said, "The store says how large an object is.")
    return warning(
        answer.said,
        "Clients that ask for the size beforehand fail.",
        "Let the proxy before the store pass HEAD on as it comes.",
    )


def expired(case: CheckContext[Probe]) -> CheckResult:
    """GET through a URL that has died."""
    return refused_or_failed(
        case.read(ago=_LONG_AGO),
        "URLs die when they should.",
        "The store does not mind when a URL ends: every link that was shared works for ever.",
        "Use a store that verifies when a URL ends; let no cache answer for it.",
    )


def tampered(case: CheckContext[Probe]) -> CheckResult:
    """GET through a URL whose signature begins with another character."""
    url, parameter, signature = case.store.read_url(case.subject_key).rpartition(
        f"&{case.words.signature}="
    )
    changed = f"{url}{parameter}{'0' if signature[0] != '0' else '1'}{signature[1:]}"
    return refused_or_failed(
        case.client.ask("GET", changed),
        "Nobody can make a URL without the key.",
        "The store does not check signatures: anybody reads anything.",
        "Switch authentication on in the store; let no cache answer for it.",
    )


def unsigned(case: CheckContext[Probe]) -> CheckResult:
    """GET without any signature."""
    answer = case.client.ask("GET", case.store.bare_url(case.subject_key))
    if answer.is_refusal or answer.code in case.words.hidden:
        return ok(answer.said, "Who has no URL reads nothing.")
    return warning(answer.said, *case.words.public)


def refused_or_failed(answer: http.StoreResponse, good: str, bad: str, advice: str) -> CheckResult:
    """Say what it means whether the store refuses, as it must, or not."""
    if answer.is_refusal:
        return ok(f"{answer.said}: refused", good)
    if answer.status >= 300:
        raise Refused(answer.status, answer.code)
    return failed(f"{answer.said}: taken", bad, advice)
