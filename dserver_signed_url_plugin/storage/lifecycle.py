"""A store's lifecycle: what it deletes by itself, and the one rule of it that is ours.

Knows no vendor. Rules of other people are told in words, and are never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Retention:
    """How long objects are kept, in whole days after they were written.

    ``prefix`` is what their keys begin with; ``abort_incomplete_days`` the days after which the
    parts of an unfinished multipart upload go; ``old_version_days`` those after which a version
    goes that was replaced or deleted, in a store that keeps such.
    """

    days: int
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

    ``warnings`` are sentences about what of the wish the store does not fulfil.
    """

    before: Sequence[Rule]
    after: Sequence[Rule]
    warnings: Sequence[str] = ()

    @property
    def differs(self) -> bool:
        """Tell whether anything differs."""
        return self.before != self.after


class LifecycleRules(Protocol):
    """The lifecycle of one base URI's store; safe to share between threads.

    Every method may raise StorageUnavailable, and LifecycleUnsupported where there is none.
    """

    def rules(self) -> Sequence[Rule]:
        """Return every rule, ours and other people's."""

    def document(self) -> str:
        """Return all rules as the store's own document."""

    def reached(self, prefix: str, uuids: Sequence[str]) -> Sequence[str]:
        """Return those datasets of which a key begins with prefix."""

    def ends(self, uuid: str, identifier: str | None = None) -> datetime | None:
        """Return from when on (UTC) a rule may delete a dataset's objects; None: never.

        :param identifier: only of this item, instead of all.
        """

    def would_end(self, uuid: str, written: datetime) -> datetime | None:
        """Return from when on (UTC) a rule might delete what a dataset had, written then (UTC)."""

    def planned(self, wanted: Retention | None) -> Change:
        """Return what `change` would do, without doing it; raises what it would."""

    def change(self, wanted: Retention | None) -> Change:
        """Make our rule say what is wanted, or take it away; safe to repeat.

        :raises LifecycleUnsettled: if the store does not show it after several attempts, or shows
            it for other objects, in which case it is as it was before.
        """
