"""Gauges of the database: pending uploads, shares that work, and the last runs of commands.

The same on every server. Read when metrics are requested, in two statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from dserver_signed_url_plugin.audit.runs import Run
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.metrics import repository
from dserver_signed_url_plugin.times import in_utc


@dataclass(frozen=True)
class DatabaseGauge:
    """A gauge: its name without prefix, and values by those of its labels."""

    name: str
    description: str
    samples: Sequence[tuple[Sequence[str], float]]
    labels: Sequence[str] = ()


def unavailable() -> Sequence[DatabaseGauge]:
    """Return the gauges of a database that does not answer."""
    return [_is_available(0)]


def read(audit: Audit) -> Sequence[DatabaseGauge]:
    """Read the gauges; needs an app context.

    :raises DatabaseBusy: if the database refuses, or does not answer.
    """
    now = datetime.now(timezone.utc)
    counts = repository.counts(now)
    began = counts.oldest_pending
    age = 0.0 if began is None else (now - in_utc(began)).total_seconds()
    return [
        _is_available(1),
        _gauge("pending_uploads", "Uploads that are not registered yet.", counts.pending),
        _gauge("pending_bytes", "Bytes that they have announced.", counts.pending_bytes),
        _gauge("pending_oldest_seconds", "Seconds since the oldest of them began.", max(0.0, age)),
        _gauge("shares", "Shares whose links work.", counts.shares),
        _gauge("audit_days", "Days for which decisions are kept; 0 if they are not.", audit.days),
        *_runs(audit.last_runs()),
    ]


def _is_available(value: float) -> DatabaseGauge:
    return _gauge("database_up", "Whether the database answered within a second.", value)


def _gauge(name: str, description: str, value: float) -> DatabaseGauge:
    return DatabaseGauge(name, description, [((), value)])


def _runs(runs: Mapping[str, Run]) -> Sequence[DatabaseGauge]:
    """Return the last run of each command that is recorded; there are few commands."""
    ran = [((name,), run.ended_at.timestamp()) for name, run in runs.items()]
    failed = [((name,), float(run.reason is not None)) for name, run in runs.items()]
    succeeded = [
        ((name,), run.succeeded_at.timestamp())
        for name, run in runs.items()
        if run.succeeded_at is not None
    ]
    return [
        DatabaseGauge(
            "command_last_run_timestamp_seconds", "When a command last ended.", ran, ["command"]
        ),
        DatabaseGauge(
            "command_failed", "Whether its last run for any base URI failed.", failed, ["command"]
        ),
        DatabaseGauge(
            "command_last_success_timestamp_seconds",
            "When a command last succeeded, for the base URI that has failed for longest.",
            succeeded,
            ["command"],
        ),
    ]
