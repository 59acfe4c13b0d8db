"""Cleans up the table of shares: ends those that lead nowhere, deletes those that ended long ago.

dserver says when it deletes a dataset or a user, and their shares are ended then. What was deleted
by other means, as in the database itself, is found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin.shares import repository


@dataclass(frozen=True)
class CleanedShares:
    """How many shares were ended, and how many were deleted."""

    ended: int
    deleted: int


class ShareCleanup:
    """Cleans up shares; any number of processes may do so at once."""

    def run(self, older_than: timedelta) -> CleanedShares:
        """End shares without a dataset or an owner, and delete those that ended so long ago."""
        ended = repository.end_without_dataset() + repository.end_without_owner()
        deleted = repository.delete_ended(datetime.now(timezone.utc) - older_than)
        return CleanedShares(ended, deleted)
