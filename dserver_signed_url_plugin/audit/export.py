"""The export of decisions to another system, such as a SIEM, which goes on after any interruption.

Every decision is exported at least once, in the order in which they were stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dserver_signed_url_plugin.audit import export_repository as repository
from dserver_signed_url_plugin.audit.decisions import Decision, Search, decision_of
from dserver_signed_url_plugin.audit.retention import within
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.times import in_utc

_PAGE = 1000
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{8}T[0-9]{12})Z")
_TIME = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class Cursor:
    """The place of a decision: its id, and its time (UTC), by which another table is recognised."""

    id: int
    time: datetime

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read what ``str`` returns.

        :raises InvalidField: if it is no cursor.
        """
        if found := _CURSOR.fullmatch(text):
            # Its digits need not be those of a date.
            with suppress(ValueError):
                moment = datetime.strptime(found[2], _TIME).replace(tzinfo=timezone.utc)
                return cls(int(found[1]), moment)
        raise InvalidField(
            "after", "must be the cursor of a line that was exported, or '' for the first export"
        )

    def __str__(self) -> str:
        return f"{self.id}-{self.time:{_TIME}}Z"


@dataclass(frozen=True)
class ExportedDecision:
    """A decision, and the cursor after which the export goes on."""

    decision: Decision
    cursor: Cursor

    def as_json(self) -> dict[str, Any]:
        """Return what JSON has of it."""
        return {**self.decision.as_json(), "cursor": str(self.cursor)}


@dataclass(frozen=True)
class AuditExport:
    """Exports decisions; any number of exports may run at once, as each keeps its own cursor."""

    settings: Settings

    def pages(
        self, search: Search, after: Cursor | None, limit: int | None = None
    ) -> Iterator[Sequence[ExportedDecision]]:
        """Yield the decisions of a search, oldest first, in pages of at most 1,000.

        What is exported counts no more refusals: those that follow have a row of their own, which
        the next export has.

        :param after: the cursor of the last decision that was kept; None for the first.
        :param limit: the most decisions to export; None for all.
        :raises InvalidField: if the cursor belongs to another table.
        :raises AuditOff: if this server keeps none.
        :raises DatabaseBusy: if the table cannot be used.
        """
        search = within(search, self.settings.audit_days)
        last, place = repository.newest_id(), 0 if after is None else after.id
        if after is not None:
            _check(after, last)
        left = last if limit is None else limit
        while left > 0:
            page = [_exported(row) for row in _final(search, place, last, min(_PAGE, left))]
            if page:
                yield page
            if len(page) < min(_PAGE, left):
                return
            place, left = page[-1].cursor.id, left - len(page)


def _check(after: Cursor, last: int) -> None:
    """Raise InvalidField unless the table has had the decision; it may have been deleted since."""
    moment = repository.time_of(after.id)
    if after.id > last or (moment is not None and in_utc(moment) != after.time):
        raise InvalidField(
            "after",
            "is of another table: the database was replaced, perhaps by an older copy. Export "
            "without a cursor, and with --since",
        )


def _final(search: Search, after: int, last: int, most: int) -> Sequence[Mapping[str, Any]]:
    """Return rows that will not change; no clock says which, as servers' clocks differ."""
    rows = repository.following(search, after, last, most)
    while counting := [row["id"] for row in rows if row["tally"] is not None]:
        repository.end_counting(counting)
        rows = repository.following(search, after, last, most)
    return rows


def _exported(row: Mapping[str, Any]) -> ExportedDecision:
    return ExportedDecision(decision_of(row), Cursor(row["id"], in_utc(row["time"])))
