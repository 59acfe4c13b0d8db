"""Lifecycle rules of a store, independent of its vendor: values and the protocol.

One rule is ours. Others are described in words, and never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Retention:
    """How long objects are kept, in whole days after they were written; None: for ever.

    ``prefix`` is what their keys start with; ``abort_incomplete_days`` the days after which an
    unfinished multipart upload is aborted; ``old_version_days`` those after which a version that
    was replaced or deleted is removed, in a bucket with versioning.
    """

    days: int | None
    prefix: str = ""
    abort_incomplete_days: int | None = None
    old_version_days: int | None = None


@dataclass(frozen=True)
class Rule:
    """One rule in words: to which objects it applies, and what it does to them."""

    name: str
    is_ours: bool
    is_enabled: bool
    applies_to: str
    does: Sequence[str]


@dataclass(frozen=True)
class Change:
    """All rules as they were, and as they are now (or would be).

    ``warnings`` are sentences about what the rule may not achieve.
    """

    before: Sequence[Rule]
    after: Sequence[Rule]
    warnings: Sequence[str] = ()

    @property
    def differs(self) -> bool:
        """Return whether anything differs."""
        return self.before != self.after


class LifecycleRules(Protocol):
    """The lifecycle of one base URI's store; safe to share between threads.

    Every method may raise StorageUnavailable, and LifecycleUnsupported where there is none.
    """

    def rules(self) -> Sequence[Rule]:
        """Return every rule, ours and others."""

    def document(self) -> str:
        """Return all rules as the document that the store keeps."""

    def reached(self, prefix: str, uuids: Sequence[str]) -> Sequence[str]:
        """Return the datasets that have a key with this prefix."""

    def ends(self, uuid: str, identifier: str | None = None) -> datetime | None:
        """Return the time (UTC) from which a rule may delete a dataset's objects, if any does.

        :param identifier: consider only this item.
        """

    def would_end(self, uuid: str, written: datetime) -> datetime | None:
        """Return the time (UTC) from which a rule deletes a dataset written at a time."""

    def parts_end(self, uuid: str, begun: datetime) -> datetime | None:
        """Return the time (UTC) from which a rule deletes the parts of an item begun at a time."""

    def planned(self, wanted: Retention | None) -> Change:
        """Return what `change` would do, without doing it; raises what it would."""

    def change(self, wanted: Retention | None) -> Change:
        """Write our rule as wanted, or remove it. Idempotent.

        :raises LifecycleUnsettled: if the store does not show it as it was written, or has lost
            or changed another rule; the message says whether the former rules were restored.
        """
