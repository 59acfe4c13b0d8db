"""Times in UTC, and how they are written."""

from __future__ import annotations

from datetime import datetime, timezone


def in_utc(moment: datetime) -> datetime:
    """Convert to UTC; a time without a zone is in UTC already.

    SQLite forgets the zone, and PostgreSQL answers in that of the session.
    """
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)


def timestamp(moment: datetime) -> str:
    """Format a time (UTC) as in every response: 2024-01-15T14:30:00.000000Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
