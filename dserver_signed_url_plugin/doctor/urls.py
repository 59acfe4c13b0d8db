"""Examinations that follow signed URLs through the public endpoint, as people and browsers do.

Knows what a URL must do and what it must not, and what it means if the store sees it differently.
"""

from __future__ import annotations

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.case import OTHER, PINNED, Case, Subject
from dserver_signed_url_plugin.doctor.findings import Outcome, failed, ok, skipped, warning
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.examination import Refused

_LONG_AGO = 2 * 3600  # seconds, for a URL that lives one minute
_NOTHING_TO_READ = "There is no object whose content is known."


def signature(case: Case) -> Outcome:
    """Sign for the public endpoint, for an object that is not there."""
    answer = case.client.ask("GET", case.store.sign("GET", case.key("absent")))
    if answer.code in {"NoSuchKey", "AccessDenied"}:
        return ok(answer.said, "The store takes the plugin's signature.")
    if answer.code == "SignatureDoesNotMatch":
        return _other_host(case, answer)
    raise Refused(answer.status, answer.code)


def _other_host(case: Case, answer: http.Answer) -> Outcome:
    """Find out whether the store is told another host than people use."""
    rewritten = False
    if case.store.inside != case.store.outside:
        inside = case.client.ask("GET", case.store.sign_inside("GET", case.key("absent")))
        rewritten = inside.code in {"NoSuchKey", "AccessDenied"}
    means = "A proxy before the store changes the Host header, which is part of the signature."
    if not rewritten:
        means = "A proxy before the store changes the Host header or the path, or a key is wrong."
    return failed(
        answer.said + (f"; {case.store.inside} is taken there" if rewritten else ""),
        means,
        "Let the proxy pass Host on as it comes (nginx: proxy_set_header Host $http_host), or set "
        "DTOOL_S3_PUBLIC_ENDPOINT_<bucket> to the address that the store knows.",
    )


# Writing -----------------------------------------------------------------------------------


def pinned_put(case: Case) -> Outcome:
    """PUT the announced bytes."""
    answer = case.put("pinned", PINNED, case.store.pin(PINNED)).granted()
    return ok(answer.said, "The store takes the announced bytes.")


def other_bytes(case: Case) -> Outcome:
    """PUT other bytes to a pinned URL, with the headers as signed."""
    answer = case.put("other-bytes", OTHER, case.store.pin(PINNED))
    return _refused_or_failed(
        answer,
        "A pinned URL takes the announced bytes only.",
        "The store ignores Content-MD5: whoever holds a URL can change a dataset after completion.",
        "Use a store that checks Content-MD5; let no proxy remove the header.",
    )


def other_pin(case: Case) -> Outcome:
    """PUT other bytes to a pinned URL, with headers that fit them."""
    answer = case.put("other-pin", OTHER, case.store.pin(PINNED), sent=case.store.pin(OTHER))
    return _refused_or_failed(
        answer,
        "The headers are part of the signature.",
        "The store does not check signed headers: whoever holds a URL can change a dataset.",
        "Use a store that verifies SignedHeaders.",
    )


def overwriting(case: Case) -> Outcome:
    """PUT twice through a staged URL."""
    for content in (PINNED, OTHER):
        answer = case.put("staged", content).granted()
    return ok(answer.said, "An upload can be repeated until it is complete.")


def smuggled_copy(case: Case) -> Outcome:
    """PUT through a staged URL with a header that is not signed, and would make it a copy."""
    answer = case.put("smuggled", OTHER, sent=case.store.smuggled_copy(case.key("pinned")))
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


# Reading -----------------------------------------------------------------------------------


def get(case: Case) -> Outcome:
    """GET an object: one of the doctor's, or any other where the doctor may not write."""
    case.subject = _something_to_read(case)
    answer = case.read()
    if case.subject is None and answer.code == "NoSuchKey":
        return ok(answer.said, "The bucket is empty, and the store says so: it may be read.")
    answer.granted()
    content = case.subject.content if case.subject else None
    if content is not None and answer.body != content:
        return failed(
            f"{answer.said}, other bytes",
            "What is read is not what was written.",
            "Look for a cache or a filter between this server and the store.",
        )
    return ok(answer.said, "People can read through URLs.")


def _something_to_read(case: Case) -> Subject | None:
    key = case.key("pinned")
    if case.store.read(key) == PINNED:
        return Subject(key, PINNED)
    try:
        case.store.write(key, PINNED.decode())
    except (Refused, StorageUnavailable):
        found = case.store.some_key()
        return None if found is None else Subject(found, None)
    return Subject(key, PINNED)


def byte_range(case: Case) -> Outcome:
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


def head(case: Case) -> Outcome:
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


def expired(case: Case) -> Outcome:
    """GET through a URL that has died."""
    return _refused_or_failed(
        case.read(ago=_LONG_AGO),
        "URLs die when they should.",
        "The store does not mind when a URL ends: every link that was shared works for ever.",
        "Use a store that verifies X-Amz-Expires; let no cache answer for it.",
    )


def tampered(case: Case) -> Outcome:
    """GET through a URL whose signature is changed by one digit."""
    url = case.store.sign("GET", case.subject_key)
    changed = url[:-1] + ("0" if url[-1] != "0" else "1")
    return _refused_or_failed(
        case.client.ask("GET", changed),
        "Nobody can make a URL without the key.",
        "The store does not check signatures: anybody reads anything.",
        "Switch authentication on in the store; let no cache answer for it.",
    )


def unsigned(case: Case) -> Outcome:
    """GET without any signature."""
    answer = case.client.ask("GET", case.store.bare_url(case.subject_key))
    if answer.is_refusal:
        return ok(answer.said, "Who has no URL reads nothing.")
    return warning(
        answer.said,
        "The bucket is public: anybody reads its datasets, whatever dserver permits.",
        "Remove the bucket's public policy or ACL, unless that is intended.",
    )


def _refused_or_failed(answer: http.Answer, good: str, bad: str, advice: str) -> Outcome:
    if answer.is_refusal:
        return ok(f"{answer.said}: refused", good)
    if answer.status >= 300:
        raise Refused(answer.status, answer.code)
    return failed(f"{answer.said}: taken", bad, advice)
