"""How far back decisions are kept, and so are shown, exported and counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin.audit.decisions import Search
from dserver_signed_url_plugin.audit.texts import printable_uri
from dserver_signed_url_plugin.errors import AuditOff


def kept_since(days: int) -> datetime:
    """Return the time (UTC) before which decisions are neither shown nor kept."""
    return datetime.now(timezone.utc) - timedelta(days=days)


def shown_since(since: datetime | None, days: int) -> datetime:
    """Return a time (UTC), or that since which decisions are kept if this is later.

    :param since: None for as long as decisions are kept.
    :raises AuditOff: if none are, because ``days`` is 0.
    """
    if not days:
        raise AuditOff
    kept = kept_since(days)
    return max(since or kept, kept)


def within(search: Search, days: int) -> Search:
    """Return a search with a time, and with the URI as the table has it.

    :raises AuditOff: if no decisions are kept, because ``days`` is 0.
    """
    uri = None if search.uri is None else printable_uri(search.uri)
    return replace(search, since=shown_since(search.since, days), uri=uri)
