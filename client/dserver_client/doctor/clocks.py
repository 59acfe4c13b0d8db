"""Compare clocks, using the header ``Date`` of a response."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from dserver_client.http import Response

# Seconds. The header has whole seconds, and answers take a while.
TOLERANCE = 30


def ahead(response: Response) -> float | None:
    """Return by how many seconds the clock of who has answered is ahead of ours, or None."""
    try:
        theirs = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=timezone.utc)
    return (theirs - datetime.now(timezone.utc)).total_seconds()
