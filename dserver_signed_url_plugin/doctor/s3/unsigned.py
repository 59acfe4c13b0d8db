"""Checks of headers that URLs do not sign.

AWS refuses unsigned x-amz-… headers; Ceph RGW, MinIO and others obey them. Each header is sent
through each kind of URL that is handed out, before an item is completed and afterwards.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from urllib.parse import quote

from dserver_signed_url_plugin.doctor.context import OTHER, CheckContext
from dserver_signed_url_plugin.doctor.findings import CheckResult, failed, ok, skipped
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.s3.attacks import (
    Attack,
    AttackResult,
    Observation,
    ScratchItem,
    attack_part,
    run_attack,
)
from dserver_signed_url_plugin.storage.md5 import base64_md5, md5_of
from dserver_signed_url_plugin.storage.values import Refused

_EVERYBODY = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
_KEY = b"a key of 32 bytes for this alone"

_WRITE_KEY = (
    "Sign write URLs with a key pair that can read nothing: see below. A proxy that removes "
    "headers which URLs do not sign is additional protection."
)
_STAGE = "Stage all uploads: set SIGNED_URL_WRITES_<bucket>=staged."
_FILTER = (
    "Uploads are staged already: let a proxy in front of the store remove headers that URLs do not "
    "sign."
)

# Observations ------------------------------------------------------------------------------


def _written(item: ScratchItem) -> Observation:
    return {"x-amz-copy-source": item.context.probe.read(item.url_key)}


def _content(item: ScratchItem) -> Observation:
    try:
        return {"x-amz-server-side-encryption-customer-…": item.context.probe.read(item.key)}
    except Refused as refusal:
        return {"x-amz-server-side-encryption-customer-…": str(refusal)}


def _public(header: str) -> Callable[[ScratchItem], Observation]:
    def observe(item: ScratchItem) -> Observation:
        answer = item.context.client.send("GET", item.context.probe.unsigned_url(item.key))
        return {header: answer.status == 200}

    return observe


def _tags(item: ScratchItem) -> Observation:
    return {"x-amz-tagging": item.context.probe.tags(item.key)}


def _served(item: ScratchItem) -> Observation:
    return item.context.probe.headers(item.key)


# Checks ------------------------------------------------------------------------------------


def copy_source(context: CheckContext[BucketProbe]) -> CheckResult:
    """Copy an object from elsewhere in the bucket."""
    key = context.key("private/of-someone-else")
    context.probe.write(key, OTHER.decode())
    return _copied(
        context, f"{context.probe.bucket}/{key}", context.probe.unsigned_url(key, public=False)
    )


def copy_elsewhere(context: CheckContext[BucketProbe]) -> CheckResult:
    """Copy an object from another bucket, if the server's key can list one."""
    found = context.probe.object_in_another_bucket()
    if found is None:
        return skipped("Not tried: the server's key can list no small object in another bucket.")
    return _copied(context, *found)


def _copied(context: CheckContext[BucketProbe], source: str, unsigned_url: str) -> CheckResult:
    if context.client.send("GET", unsigned_url).status == 200:
        return skipped("Not tried: anybody can read the object without a URL.")
    copying = {"x-amz-copy-source": f"/{quote(source)}"}
    attack = Attack(copying, _written, needs_completion=False)
    return _result(
        chain(run_attack(context, attack), attack_part(context, copying)),
        "Write URLs cannot be used to read.",
        "Whoever has a write URL can read whatever the key that signs it can read, in any bucket: "
        "the store copies it to where the URL writes",
        (_WRITE_KEY, _WRITE_KEY),
    )


def acl(context: CheckContext[BucketProbe]) -> CheckResult:
    """Make an item public."""
    attacks = (
        Attack({"x-amz-acl": "public-read"}, _public("x-amz-acl")),
        Attack({"x-amz-grant-read": _EVERYBODY}, _public("x-amz-grant-read")),
    )
    return _result(
        (result for attack in attacks for result in run_attack(context, attack)),
        "Write URLs cannot change who may read an item.",
        "Whoever has a write URL can make a frozen item public, whatever dserver permits",
        (_STAGE, _FILTER),
    )


def tagging(context: CheckContext[BucketProbe]) -> CheckResult:
    """Change an item's tags."""
    try:
        return _result(
            run_attack(context, Attack({"x-amz-tagging": "doctor=was-here"}, _tags)),
            "Write URLs cannot change the tags of a frozen item.",
            "Whoever has a write URL can change the tags of a frozen item, which policies and "
            "lifecycle rules may depend on",
            (_STAGE, _FILTER),
            allowed_before=True,
        )
    except Refused as refusal:
        return skipped(
            f"The server's key may not read the tags of objects ({refusal}).",
            "Grant s3:GetObjectTagging to have them checked; nothing else needs it.",
        )


def redirect(context: CheckContext[BucketProbe]) -> CheckResult:
    """Redirect readers of the bucket's website."""
    attack = Attack({"x-amz-website-redirect-location": "/elsewhere"}, _served)
    return _result(
        run_attack(context, attack),
        "Write URLs cannot redirect the readers of a frozen item.",
        "Whoever has a write URL can redirect the readers of a frozen item, if the bucket is a "
        "website",
        (_STAGE, _FILTER),
        allowed_before=True,
    )


def headers(context: CheckContext[BucketProbe]) -> CheckResult:
    """Change the headers and metadata that the store keeps for an item."""
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
    return _result(
        (result for sent in attacks for result in run_attack(context, Attack(sent, _served))),
        "Write URLs cannot change how a frozen item is served or stored.",
        "Whoever has a write URL can change how a frozen item is served or stored",
        (_STAGE, _FILTER),
        allowed_before=True,
    )


def encryption(context: CheckContext[BucketProbe]) -> CheckResult:
    """Encrypt an item with a key of the attacker's own (SSE-C)."""
    name = "x-amz-server-side-encryption-customer"
    sent = {
        f"{name}-algorithm": "AES256",
        f"{name}-key": base64.b64encode(_KEY).decode(),
        f"{name}-key-MD5": base64_md5(md5_of(_KEY)),
    }
    return _result(
        run_attack(context, Attack(sent, _content)),
        "Write URLs cannot make an item unreadable.",
        "Whoever has a write URL can encrypt a frozen item with a key that nobody else has",
        (_STAGE, _FILTER),
    )


def _result(
    results: Iterator[AttackResult],
    if_harmless: str,
    if_harmful: str,
    advice: tuple[str, str],
    *,
    allowed_before: bool = False,
) -> CheckResult:
    """Return what the results of attacks mean.

    :param advice: for attacks that staging prevents, and for others.
    :param allowed_before: whether the uploader may do this until the item is complete.
    """
    tried = list(results)
    obeyed = [each for each in tried if each.obeyed]
    harmful = [each for each in obeyed if each.moment == "after" or not allowed_before]
    if not obeyed:
        refused = all(each.refused for each in tried)
        return ok("refused" if refused else "without effect", if_harmless)
    if not harmful:
        return ok("obeyed before completion only", if_harmless)
    kinds = {each.kind for each in harmful}
    shown = [each for each in obeyed if each.kind in kinds]
    names = sorted({name for each in shown for name in each.obeyed})
    return failed(
        f"obeyed: {', '.join(_where(shown))}",
        f"{if_harmful} ({', '.join(names)}).",
        advice[0] if kinds == {"pinned"} else advice[1],
    )


def _where(obeyed: Sequence[AttackResult]) -> Iterator[str]:
    for kind in ("pinned", "staged"):
        moments = {each.moment for each in obeyed if each.kind == kind}
        if len(moments) == 1:
            yield f"{kind}, {moments.pop()} completion"
        elif moments:
            yield kind
    if any(each.kind == "parts" for each in obeyed):
        yield "parts"
