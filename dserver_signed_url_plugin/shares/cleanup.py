"""Cleans up the table of shares: ends those that lead nowhere, deletes those that ended long ago.

dserver says when it deletes a dataset or a user, and their shares are ended then. What was deleted
by other means, as in the database itself, is found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin.shares import cleanup_repository


@dataclass(frozen=True)
class CleanedShares:
    """How many shares were ended, and how many were deleted."""

    ended: int
    deleted: int


class ShareCleanup:
    """Cleans up shares; any number of processes may do so at once."""

    def run(self, older_than: timedelta, *, dry_run: bool = False) -> CleanedShares:
        """End shares without a dataset or an owner, and delete those that ended so long ago.

        :param dry_run: count them, and change nothing.
        """
        before = datetime.now(timezone.utc) - older_than
        if dry_run:
            ended = cleanup_repository.count_without_dataset_or_owner()
            return CleanedShares(ended, cleanup_repository.count_ended(before))
        ended = cleanup_repository.end_without_dataset() + cleanup_repository.end_without_owner()
        return CleanedShares(ended, cleanup_repository.delete_ended(before))
