"""A scratch item, written by a URL as people have it, and attacked with headers that none signs.

Knows how an item is written and completed, pinned or staged, and that a URL lives on afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from dserver_signed_url_plugin.doctor import http
from dserver_signed_url_plugin.doctor.context import PINNED, CheckContext
from dserver_signed_url_plugin.doctor.probe import BucketProbe
from dserver_signed_url_plugin.storage.values import Refused, SignedRequest

_MD5 = hashlib.md5(PINNED, usedforsecurity=False).hexdigest()

# What is seen of an item, by the headers that would change it.
Seen = Mapping[str, object]


@dataclass(frozen=True)
class ScratchItem:
    """A scratch item, written by a URL as people have it; ``place`` is where the URL writes."""

    case: CheckContext[BucketProbe]
    pinned: bool
    name: str

    @property
    def key(self) -> str:
        return self.case.key(f"data/{self.name}")

    @property
    def place(self) -> str:
        return self.key if self.pinned else self.case.key(f"upload/{self.name}")

    def put(self, headers: Mapping[str, str]) -> http.StoreResponse:
        """PUT the right bytes, with more headers than the URL signs."""
        request = SignedRequest(self.case.store.staged_url(self.place))
        if self.pinned:
            request = self.case.store.pinned_put(self.place, PINNED)
        sent = SignedRequest(request.url, {**request.headers, **headers})
        return self.case.put(sent, PINNED)

    def complete(self) -> bool:
        """Do what completion does with an item; tell whether it can."""
        if self.pinned:
            return True
        try:
            return self.case.store.copy(self.place, _MD5, self.key)
        except Refused:
            return False


@dataclass(frozen=True)
class Attack:
    """Headers that nobody signed, and what to look at to see whether they were obeyed.

    What does harm only in a dataset ``needs_completion``.
    """

    headers: Mapping[str, str]
    look: Callable[[ScratchItem], Seen]
    needs_completion: bool = True


@dataclass(frozen=True)
class AttackResult:
    """What became of one attack: which headers were obeyed, and whether it was refused."""

    kind: str
    moment: str
    obeyed: frozenset[str]
    refused: bool


def trials(case: CheckContext[BucketProbe], attack: Attack) -> Iterator[AttackResult]:
    """Attack an item through each kind of URL, before it is complete and afterwards."""
    # What cannot be PUT as announced, or is not pinned here at all, is not attacked so either.
    for kind in ("pinned", "staged") if "pinned-put" in case.proved else ("staged",):
        pinned = kind == "pinned"
        clean = _completed(case, pinned)
        for moment in ("before", "after"):
            item = ScratchItem(case, pinned, uuid4().hex) if moment == "before" else clean
            answer = item.put(attack.headers)
            if answer.is_refusal:
                yield AttackResult(kind, moment, frozenset(), refused=True)
                continue
            answer.granted()
            yield AttackResult(kind, moment, _obeyed(attack, item, moment), refused=False)


def _completed(case: CheckContext[BucketProbe], pinned: bool) -> ScratchItem:
    item = ScratchItem(case, pinned, uuid4().hex)
    item.put({}).granted()
    item.complete()
    return item


def _obeyed(attack: Attack, item: ScratchItem, moment: str) -> frozenset[str]:
    # A completion that fails lets nothing into a dataset.
    if moment == "before" and attack.needs_completion and not item.complete():
        return frozenset()
    seen, expected = attack.look(item), attack.look(_completed(item.case, item.pinned))
    names = seen.keys() | expected.keys()
    return frozenset(name for name in names if seen.get(name) != expected.get(name))
