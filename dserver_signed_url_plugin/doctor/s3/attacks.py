"""Attacks on a scratch item: PUTs through its URL, with headers that the URL does not sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.context import ANNOUNCED, CheckContext
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.doctor.s3.parts import begun_parts
from dserver_signed_url_plugin.storage.md5 import md5_of
from dserver_signed_url_plugin.storage.values import Refused, SignedRequest

_MD5 = md5_of(ANNOUNCED)

# What is observed of an item, by the header that would change it.
Observation = Mapping[str, object]


@dataclass(frozen=True)
class ScratchItem:
    """A scratch item, uploaded through a URL as people have it.

    ``key`` is the item's own, ``url_key`` the one that the URL writes to.
    """

    context: CheckContext[BucketProbe]
    pinned: bool
    name: str

    @property
    def key(self) -> str:
        return self.context.key(f"data/{self.name}")

    @property
    def url_key(self) -> str:
        return self.key if self.pinned else self.context.key(f"upload/{self.name}")

    def put(self, headers: Mapping[str, str]) -> http.StoreResponse:
        """PUT the announced bytes, with more headers than the URL signs."""
        request = SignedRequest(self.context.probe.staged_url(self.url_key))
        if self.pinned:
            request = self.context.probe.pinned_put(self.url_key, ANNOUNCED)
        with_headers = SignedRequest(request.url, {**request.headers, **headers})
        return self.context.put(with_headers, ANNOUNCED)

    def complete(self) -> bool:
        """Do what completion does with an item; return whether that succeeded."""
        if self.pinned:
            return True
        try:
            return self.context.probe.copy(self.url_key, _MD5, self.key)
        except Refused:
            return False


@dataclass(frozen=True)
class Attack:
    """Unsigned headers, and the observation that shows whether the store obeyed them.

    ``needs_completion`` is True for what is harmless until the item is part of a dataset.
    """

    headers: Mapping[str, str]
    observe: Callable[[ScratchItem], Observation]
    needs_completion: bool = True


@dataclass(frozen=True)
class AttackResult:
    """The result of one attack: which headers were obeyed, and whether the PUT was refused."""

    kind: str
    moment: str
    obeyed: frozenset[str]
    refused: bool


def run_attack(context: CheckContext[BucketProbe], attack: Attack) -> Iterator[AttackResult]:
    """Attack an item through each kind of URL, before completion and after it."""
    # Without pinned URLs, or where these do not work, staged ones are attacked only.
    for kind in ("pinned", "staged") if "pinned-put" in context.passed else ("staged",):
        pinned = kind == "pinned"
        complete = _completed(context, pinned=pinned)
        for moment in ("before", "after"):
            item = ScratchItem(context, pinned, uuid4().hex) if moment == "before" else complete
            answer = item.put(attack.headers)
            if answer.is_refusal:
                yield AttackResult(kind, moment, frozenset(), refused=True)
                continue
            answer.raise_for_status()
            yield AttackResult(kind, moment, _obeyed(attack, item, moment), refused=False)


def attack_part(
    context: CheckContext[BucketProbe], headers: Mapping[str, str]
) -> Iterator[AttackResult]:
    """PUT an empty part with more headers than its URL signs; one that is not empty was copied.

    There is nothing to attack after completion, when URLs of parts no longer work.
    """
    if "parts" not in context.passed:
        return
    with begun_parts(context, f"data/{uuid4().hex}") as (key, upload_id):
        request = context.probe.part_put(key, upload_id)
        answer = context.put(SignedRequest(request.url, headers), b"")
        found = context.probe.parts(key, upload_id) or {}
    if not answer.is_refusal:
        answer.raise_for_status()
    is_copied = any(part.size_in_bytes for part in found.values())
    obeyed = frozenset(headers) if is_copied else frozenset()
    yield AttackResult("parts", "before", obeyed, refused=answer.is_refusal)


def _completed(context: CheckContext[BucketProbe], *, pinned: bool) -> ScratchItem:
    item = ScratchItem(context, pinned, uuid4().hex)
    item.put({}).raise_for_status()
    item.complete()
    return item


def _obeyed(attack: Attack, item: ScratchItem, moment: str) -> frozenset[str]:
    # If completion fails, the dataset is not affected.
    if moment == "before" and attack.needs_completion and not item.complete():
        return frozenset()
    found = attack.observe(item)
    expected = attack.observe(_completed(item.context, pinned=item.pinned))
    names = found.keys() | expected.keys()
    return frozenset(name for name in names if found.get(name) != expected.get(name))
