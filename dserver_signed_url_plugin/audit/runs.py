"""The last runs of commands, which the audit records for each base URI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dserver_signed_url_plugin.audit.decisions import COMMAND, Outcome
from dserver_signed_url_plugin.times import in_utc

# A base URI for which a command has not run for so long before its last run counts no more: it was
# taken off a schedule, or misspelt once.
_FORGOTTEN = timedelta(days=2)

# Action, base URI, outcome, time and reason.
RunRow = tuple[str, str, str, datetime, str | None]


@dataclass(frozen=True)
class Run:
    """When a command last ended, why it failed, if it did, and when it last succeeded (UTC)."""

    ended_at: datetime
    reason: str | None
    succeeded_at: datetime | None


def by_command(rows: Iterable[RunRow]) -> dict[str, Run]:
    """Return the last run of each command, by its name without ``flask``.

    It failed if the last run for any base URI did. If some of these had succeeded before, the time
    is that of the one that has failed for longest.

    :param rows: the last run of each command, base URI and outcome.
    """
    runs: dict[str, dict[str, Run]] = {}
    for action, base_uri, outcome, moment, reason in sorted(rows, key=lambda row: row[3]):
        of_command = runs.setdefault(action.removeprefix(COMMAND), {})
        before, ended_at = of_command.get(base_uri), in_utc(moment)
        last_success = before.succeeded_at if before else None
        succeeded_at = ended_at if outcome == Outcome.GRANTED.value else last_success
        of_command[base_uri] = Run(ended_at, reason, succeeded_at)
    return {name: _of_all(list(each.values())) for name, each in runs.items()}


def _of_all(runs: Sequence[Run]) -> Run:
    """Return the last run of one command, of the last run for each base URI."""
    ended_at = max(run.ended_at for run in runs)
    failed = [run for run in runs if run.reason and run.ended_at > ended_at - _FORGOTTEN]
    successes = _successes(failed) or _successes(runs)[-1:]
    reason = failed[-1].reason if failed else None
    return Run(ended_at, reason, successes[0] if successes else None)


def _successes(runs: Iterable[Run]) -> Sequence[datetime]:
    return sorted(run.succeeded_at for run in runs if run.succeeded_at is not None)
