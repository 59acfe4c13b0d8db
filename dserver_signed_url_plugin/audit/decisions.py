"""Decisions: who was granted or refused what, and how the log and the table have it.

No decision holds a secret. Knows neither requests nor the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from hashlib import sha256
from typing import Any

from dserver_signed_url_plugin.audit.texts import parsed, printable_uri, shortened
from dserver_signed_url_plugin.client_networks import network_of
from dserver_signed_url_plugin.errors import InvalidField, TooManyRequests
from dserver_signed_url_plugin.times import in_utc, timestamp
from dserver_signed_url_plugin.uris import DatasetURI

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
_BUCKET = re.compile(r"[^:/]+://[^/]+")


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
        """Return what JSON and the log have of it; times are in UTC."""
        return {
            **vars(self),
            "time": timestamp(self.time),
            "outcome": self.outcome.value,
            "expires_at": None if self.expires_at is None else timestamp(self.expires_at),
        }

    def storable(self) -> Decision:
        """Return it with every time in UTC, every text as short and printable as the table's."""
        texts: dict[str, Any] = {
            name: shortened(getattr(self, name), longest) for name, longest in _LONGEST.items()
        }
        expires_at = None if self.expires_at is None else in_utc(self.expires_at)
        return replace(
            self,
            time=in_utc(self.time),
            uri=printable_uri(self.uri),
            expires_at=expires_at,
            **texts,
        )


@dataclass(frozen=True)
class Search:
    """Criteria for decisions.

    ``uri`` is a dataset's, or with ``below`` a base URI and everything below it; ``since`` and
    ``until`` (exclusive) are in UTC; ``before`` is the ``next`` of the previous page.
    """

    uri: str | None = None
    below: bool = False
    username: str | None = None
    share: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


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


def row_of(decision: Decision) -> dict[str, Any]:
    """Return the row of a decision, which is storable, without its id."""
    return {
        **vars(decision),
        "outcome": decision.outcome.value,
        "base_uri": _base_of(decision.uri),
        "tally": _tally(decision),
    }


def decision_of(row: Mapping[str, Any]) -> Decision:
    """Return the decision of a row; SQLite forgets that its times are in UTC."""
    facts = {name: row[name] for name in row.keys() - {"id", "base_uri", "tally"}}
    facts |= {"time": in_utc(row["time"]), "outcome": Outcome(row["outcome"])}
    if row["expires_at"] is not None:
        facts["expires_at"] = in_utc(row["expires_at"])
    return Decision(**facts)


def _tally(decision: Decision) -> str | None:
    """Return the key of what one row counts until it is exported: similar refusals of a minute.

    Those of a network without an account, which anybody can cause, and those of a user who sends
    too many requests.
    """
    is_anonymous = not decision.username and decision.address is not None
    is_refused = decision.outcome is Outcome.REFUSED
    if decision.reason != TooManyRequests.slug and not (is_anonymous and is_refused):
        return None
    kind = f"{decision.reason} {decision.share}"
    who = decision.username or network_of(decision.address)
    return sha256(f"{kind} {who} {decision.time:%Y-%m-%dT%H:%M}".encode()).hexdigest()


def _base_of(uri: str) -> str:
    """Return the base URI of what was asked about, as far as it can be read."""
    try:
        place = parsed(uri)
    except InvalidField:
        found = _BUCKET.match(uri)
        return found.group() if found else ""
    return str(place.base if isinstance(place, DatasetURI) else place)
