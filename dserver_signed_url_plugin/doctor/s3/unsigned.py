"""Examinations of headers that no URL signs, and of what a store that obeys them gives away.

AWS refuses x-amz-… headers that are not signed; Ceph RGW, MinIO and others obey them. Every header
is sent through each kind of URL that is handed out, before an item is complete and afterwards.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

from dserver_signed_url_plugin.doctor.context import OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.s3.attacks import (
    Attack,
    AttackResult,
    ScratchItem,
    Seen,
    trials,
)
from dserver_signed_url_plugin.storage.values import Refused

_EVERYBODY = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
_KEY = b"a key of 32 bytes for this alone"

_WRITE_KEY = (
    "Let a key pair sign write URLs that can read nothing: see below. "
    "A proxy that removes what URLs do not sign is a second wall."
)
_STAGE = "Stage all uploads: set SIGNED_URL_WRITES_<bucket>=staged."
_FILTER = (
    "Let a proxy before the store remove headers that URLs do not sign: uploads are staged already."
)

# What is looked at --------------------------------------------------------------------------


def _written(item: ScratchItem) -> Seen:
    return {"x-amz-copy-source": item.case.store.read(item.place)}


def _content(item: ScratchItem) -> Seen:
    try:
        return {"x-amz-server-side-encryption-customer-…": item.case.store.read(item.key)}
    except Refused as refusal:
        return {"x-amz-server-side-encryption-customer-…": str(refusal)}


def _public(header: str) -> Callable[[ScratchItem], Seen]:
    def look(item: ScratchItem) -> Seen:
        answer = item.case.client.ask("GET", item.case.store.bare_url(item.key))
        return {header: answer.status == 200}

    return look


def _tags(item: ScratchItem) -> Seen:
    return {"x-amz-tagging": item.case.store.tags(item.key)}


def _served(item: ScratchItem) -> Seen:
    return item.case.store.headers(item.key)


# The examinations ---------------------------------------------------------------------------


def copying(case: CheckContext[BucketProbe]) -> CheckResult:
    """Copy an object of another prefix of the bucket."""
    key = case.key("private/of-somebody-else")
    case.store.write(key, OTHER.decode())
    return _copied(case, f"{case.store.bucket}/{key}", case.store.bare_url(key, inside=True))


def copying_from_elsewhere(case: CheckContext[BucketProbe]) -> CheckResult:
    """Copy an object of another bucket, if the server's key finds one."""
    found = case.store.object_elsewhere()
    if found is None:
        return skipped("Not tried: the server's key finds no small object in another bucket.")
    return _copied(case, *found)


def _copied(case: CheckContext[BucketProbe], source: str, bare_url: str) -> CheckResult:
    if case.client.ask("GET", bare_url).status == 200:
        return skipped("Not tried: anybody reads it without any URL.")
    attack = Attack({"x-amz-copy-source": f"/{quote(source)}"}, _written, needs_completion=False)
    return _told(
        trials(case, attack),
        "No write URL can be turned into one that reads.",
        "Whoever holds a write URL reads whatever the key that signs it can read, in any bucket: "
        "the store copies it to where the URL writes",
        (_WRITE_KEY, _WRITE_KEY),
    )


def access(case: CheckContext[BucketProbe]) -> CheckResult:
    """Open an item to everybody."""
    attacks = (
        Attack({"x-amz-acl": "public-read"}, _public("x-amz-acl")),
        Attack({"x-amz-grant-read": _EVERYBODY}, _public("x-amz-grant-read")),
    )
    return _told(
        (trial for attack in attacks for trial in trials(case, attack)),
        "Nobody changes who may read an item.",
        "Whoever holds a write URL opens a frozen item to everybody, whatever dserver permits",
        (_STAGE, _FILTER),
    )


def tagging(case: CheckContext[BucketProbe]) -> CheckResult:
    """Change an item's tags."""
    try:
        return _told(
            trials(case, Attack({"x-amz-tagging": "doctor=was-here"}, _tags)),
            "Nobody changes a frozen item's tags.",
            "Whoever holds a write URL changes the tags of a frozen item, by which policies and "
            "lifecycle rules may choose",
            (_STAGE, _FILTER),
            uploaders_choice=True,
        )
    except Refused as refusal:
        return skipped(
            f"The store does not tell the server an object's tags ({refusal}).",
            "Grant s3:GetObjectTagging to have it examined; nothing else needs it.",
        )


def redirect(case: CheckContext[BucketProbe]) -> CheckResult:
    """Lead readers of the bucket's website elsewhere."""
    attack = Attack({"x-amz-website-redirect-location": "/elsewhere"}, _served)
    return _told(
        trials(case, attack),
        "Nobody leads a frozen item's readers elsewhere.",
        "Whoever holds a write URL leads readers of a frozen item elsewhere, where the bucket is a "
        "website",
        (_STAGE, _FILTER),
        uploaders_choice=True,
    )


def headers(case: CheckContext[BucketProbe]) -> CheckResult:
    """Change what a store keeps beside the bytes."""
    attacks = (
        {
            "Content-Type": "text/html",
            "Content-Encoding": "gzip",
            "Content-Disposition": "attachment; filename=other",
            "Content-Language": "eo",
            "Cache-Control": "no-store",
            "Expires": "Fri, 01 Jan 2100 00:00:00 GMT",
        },
        {"x-amz-meta-doctor": "was-here"},
        {"x-amz-storage-class": "STANDARD_IA"},
    )
    return _told(
        (trial for each in attacks for trial in trials(case, Attack(each, _served))),
        "Nobody changes how a frozen item is served or kept.",
        "Whoever holds a write URL changes how a frozen item is served or kept",
        (_STAGE, _FILTER),
        uploaders_choice=True,
    )


def encryption(case: CheckContext[BucketProbe]) -> CheckResult:
    """Encrypt an item with a key that nobody else has (SSE-C)."""
    name = "x-amz-server-side-encryption-customer"
    digest = hashlib.md5(_KEY, usedforsecurity=False).digest()
    sent = {
        f"{name}-algorithm": "AES256",
        f"{name}-key": base64.b64encode(_KEY).decode(),
        f"{name}-key-MD5": base64.b64encode(digest).decode(),
    }
    return _told(
        trials(case, Attack(sent, _content)),
        "Nobody makes an item unreadable.",
        "Whoever holds a write URL encrypts a frozen item with a key that nobody else has",
        (_STAGE, _FILTER),
    )


def _told(
    made: Iterator[AttackResult],
    good: str,
    bad: str,
    advice: tuple[str, str],
    uploaders_choice: bool = False,
) -> CheckResult:
    """Say what the trials mean; of the advice, the second is for what staging does not stop.

    :param uploaders_choice: whether it is the uploader's until the item is complete.
    """
    tried = list(made)
    obeyed = [trial for trial in tried if trial.obeyed]
    wrong = [trial for trial in obeyed if trial.moment == "after" or not uploaders_choice]
    if not obeyed:
        return ok("refused" if all(trial.refused for trial in tried) else "without effect", good)
    if not wrong:
        return ok("obeyed before completion alone", good)
    kinds = {trial.kind for trial in wrong}
    shown = [trial for trial in obeyed if trial.kind in kinds]
    names = sorted({name for trial in shown for name in trial.obeyed})
    return failed(
        f"obeyed: {', '.join(_where(shown))}",
        f"{bad} ({', '.join(names)}).",
        advice[0] if kinds == {"pinned"} else advice[1],
    )


def _where(obeyed: Sequence[AttackResult]) -> Iterator[str]:
    for kind in ("pinned", "staged"):
        moments = {trial.moment for trial in obeyed if trial.kind == kind}
        if len(moments) == 1:
            yield f"{kind}, {moments.pop()} completion"
        elif moments:
            yield kind
