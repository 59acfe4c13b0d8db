"""Decisions: who was granted or refused what, as a line in the log and a row in the table.

No decision holds a secret. Knows neither requests nor the table's columns.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from hashlib import sha256
from typing import Any

from dserver_signed_url_plugin.audit import operators, repository
from dserver_signed_url_plugin.audit.repository import Search
from dserver_signed_url_plugin.audit.texts import parsed, printable_uri, shortened
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    AuditOff,
    DatabaseBusy,
    InvalidField,
    TooManyRequests,
)
from dserver_signed_url_plugin.permissions import UploadPermit
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uris import DatasetURI

__all__ = [
    "COMMAND",
    "Audit",
    "Decision",
    "DecisionPage",
    "Extent",
    "Outcome",
    "Run",
    "Search",
    "Use",
    "decision_of",
    "parsed",
    "printable_uri",
]

# The name that operators configure.
logger = logging.getLogger("dserver_signed_url_plugin.audit")

_LONGEST = {
    "username": 255,
    "action": 32,
    "reason": 64,
    "address": 64,
    "request_id": 64,
    "share": 16,
    "operator": 255,
    "host": 64,
}
# What the action of a command begins with; the rest is its name, as in "flask share revoke".
COMMAND = "flask "
_UTC = "%Y-%m-%dT%H:%M:%S.%fZ"
_BUCKET = re.compile(r"[^:/]+://[^/]+")
# Of the link of a share.
_USES = ("share-open", "share-preview", "share-download")


class Outcome(Enum):
    """What was decided."""

    GRANTED = "granted"
    REFUSED = "refused"


@dataclass(frozen=True)
class Extent:
    """How much was granted, and until when; None where that is not known, or nothing was.

    ``verified`` is how the items of a completed upload were: ``md5``, or by ``parts`` only.
    """

    items: int | None = None
    size_in_bytes: int | None = None
    expires_at: datetime | None = None
    verified: str | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A request, or a command of an operator, that was granted or refused.

    ``username`` is the token's, or empty; ``reason`` the slug of the error; ``size_in_bytes`` as
    announced or registered; ``share`` the ID of the share, if it is about one; ``operator`` the
    login of whoever ran a command, and ``host`` where. Where ``requests`` is more than 1, so many
    refusals of one kind were counted together, and the other fields are those of the first.
    """

    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    action: str
    username: str
    uri: str
    outcome: Outcome = Outcome.GRANTED
    reason: str | None = None
    items: int | None = None
    size_in_bytes: int | None = None
    expires_at: datetime | None = None
    address: str | None = None
    request_id: str | None = None
    requests: int = 1
    verified: str | None = None
    share: str | None = None
    operator: str | None = None
    host: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what JSON and the log have of it, times as UTC."""
        return {name: _as_json(value) for name, value in vars(self).items()}

    def storable(self) -> Decision:
        """Return it with every time in UTC, every text as short and printable as the table's."""
        texts: dict[str, Any] = {
            name: shortened(getattr(self, name), longest) for name, longest in _LONGEST.items()
        }
        times: dict[str, Any] = {"time": _utc(self.time), "expires_at": _utc(self.expires_at)}
        return replace(self, uri=printable_uri(self.uri), **texts, **times)


@dataclass(frozen=True)
class DecisionPage:
    """Decisions about a URI, newest first; ``next`` is the cursor of the next page, if any."""

    uri: str
    decisions: Sequence[Decision]
    next: int | None
    extent = Extent()  # reading decisions grants no data


@dataclass(frozen=True)
class Use:
    """How often something was done, and when last (UTC)."""

    count: int
    last: datetime


@dataclass(frozen=True)
class Run:
    """When a command last ended, why it failed, if it did, and when it last succeeded (UTC)."""

    ended_at: datetime
    reason: str | None
    succeeded_at: datetime | None


class Audit:
    """Records decisions and finds them; needs an app context, but no request."""

    def __init__(self, settings: Settings) -> None:
        self._days = settings.audit_days
        # Its lines appear wherever logging is configured, even if this logger is not.
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)

    def record(self, decision: Decision) -> None:
        """Log a decision and insert it into the table; never raises, and never blocks for long.

        Uncommitted changes of the database session are rolled back.
        """
        operator = operators.current()
        if operator is not None:
            decision = replace(decision, operator=operator.login, host=operator.host)
        decision = decision.storable()
        logger.info("%s", json.dumps(decision.as_json()))
        # Not after the database has just refused: the caller is waiting for the answer.
        if self._days and decision.reason != DatabaseBusy.slug:
            more = {"base_uri": _base_of(decision.uri), "tally": _tally(decision)}
            repository.write({**vars(decision), "outcome": decision.outcome.value, **more})

    def purge(self) -> int:
        """Delete what is older than ``SIGNED_URL_AUDIT_DAYS``; return the number of rows.

        :raises DatabaseBusy: if the table cannot be used.
        """
        return repository.purge(kept_since(self._days)) if self._days else 0

    def page(
        self, permit: UploadPermit, uuid: str | None, before: int | None, limit: int
    ) -> DecisionPage:
        """Return the decisions about a dataset, or about a base URI and all below it.

        :param permit: for the base URI; an admin's shows addresses, operators and hosts, too.
        :param uuid: of the dataset; None for all that is below the base URI.
        :param before: ``next`` of the previous page.
        :raises AuditOff: if this server keeps none.
        """
        place = permit.base_uri if uuid is None else permit.base_uri.dataset(uuid)
        page = self.found(Search(str(place), uuid is None, before=before), limit)
        if permit.is_admin:
            return page
        return replace(page, decisions=[_without_origin(one) for one in page.decisions])

    def found(self, search: Search, limit: int) -> DecisionPage:
        """Return the decisions that match an operator's search.

        :raises AuditOff: if this server keeps none.
        :raises DatabaseBusy: if the table cannot be read.
        """
        rows = repository.find(stored(search, self._days), limit + 1)
        more = rows[limit - 1]["id"] if len(rows) > limit else None
        return DecisionPage(search.uri or "", [decision_of(row) for row in rows[:limit]], more)

    def uses(self, share: str) -> dict[str, Use]:
        """Return how often a share was used, by action, as far as this server keeps decisions.

        :raises DatabaseBusy: if the table cannot be read.
        """
        found = repository.uses(share, _USES) if self._days else ()
        counted = {action: Use(count, _utc(last)) for action, count, last in found}
        return {action: counted[action] for action in _USES if action in counted}

    def last_runs(self) -> dict[str, Run]:
        """Return the last run of each command that has run, by its name without ``flask``.

        As far as this server keeps decisions; a dry run, and one that was killed, is none.

        :raises DatabaseBusy: if the table cannot be read.
        """
        found = repository.last_runs() if self._days else ()
        runs: dict[str, Run] = {}
        for action, outcome, moment, reason in sorted(found, key=lambda row: row[2]):
            name, succeeded = action.removeprefix(COMMAND), outcome == Outcome.GRANTED.value
            before = runs.get(name)
            last_success = before.succeeded_at if before else None
            runs[name] = Run(_utc(moment), reason, _utc(moment) if succeeded else last_success)
        return runs


def _without_origin(decision: Decision) -> Decision:
    return replace(decision, address=None, operator=None, host=None)


def kept_since(days: int) -> datetime:
    """Return the time (UTC) before which decisions are neither shown nor kept."""
    return datetime.now(timezone.utc) - timedelta(days=days)


def shown_since(since: datetime | None, days: int) -> datetime:
    """Return a time (UTC), but none before that since which decisions are kept.

    :raises AuditOff: if none are, because ``days`` is 0.
    """
    if not days:
        raise AuditOff
    kept = kept_since(days)
    return max(since or kept, kept)


def stored(search: Search, days: int) -> Search:
    """Return a search as the table needs it: with the URI as it is stored, and a time.

    :raises AuditOff: if this server keeps no decisions.
    """
    uri = None if search.uri is None else printable_uri(search.uri)
    return replace(search, since=shown_since(search.since, days), uri=uri)


def decision_of(row: Mapping[str, Any]) -> Decision:
    """Return the decision of a row."""
    kept = {name: _utc(row[name]) for name in row.keys() - {"id", "base_uri", "tally", "outcome"}}
    return Decision(outcome=Outcome(row["outcome"]), **kept)


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime(_UTC)
    return value.value if isinstance(value, Outcome) else value


def _tally(decision: Decision) -> str | None:
    """Return the key of what one row counts: refusals of one kind within a minute.

    Those of an address without an account, which anybody can cause, and those of a user who sends
    too many requests.
    """
    is_anonymous = not decision.username and decision.address is not None
    is_refused = decision.outcome is Outcome.REFUSED
    if decision.reason != TooManyRequests.slug and not (is_anonymous and is_refused):
        return None
    kind = f"{decision.reason} {decision.share}"
    who = decision.username or decision.address
    return sha256(f"{kind} {who} {decision.time:%Y-%m-%dT%H:%M}".encode()).hexdigest()


def _base_of(uri: str) -> str:
    """Return the base URI of what was asked about, as far as it can be read."""
    try:
        place = parsed(uri)
    except InvalidField:
        found = _BUCKET.match(uri)
        return found.group() if found else ""
    return str(place.base if isinstance(place, DatasetURI) else place)


def _utc(value: Any) -> Any:
    """Return a time in UTC, the zone that SQLite forgets; anything else as it is."""
    if isinstance(value, datetime):
        return in_utc(value)
    return value
