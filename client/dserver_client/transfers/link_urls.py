"""The signed URLs of items behind a link, each signed when its transfer begins.

They work for a minute, and each counts as a download: none is signed ahead, nor twice for threads
that read the same item.
"""

from __future__ import annotations

from dserver_client.process_lock import ProcessLock
from dserver_client.server.link import Link
from dserver_client.transfers.scheduler import Limit


class LinkURLs:
    """Signs URLs one by one. Threads share it."""

    # A URL that is refused though it is new would be refused again.
    renewals = 1

    def __init__(self, link: Link, limit: Limit) -> None:
        self._link, self._limit = link, limit
        self._urls: dict[str, str] = {}
        self._locks: dict[str, ProcessLock] = {}  # by identifier

    def prepare(self, identifier: str) -> None:
        """Do nothing: the URL might expire before it is used."""

    def get(self, identifier: str) -> str:
        """Return the URL of an item.

        :raises Refused: if the link has ended, or the dataset no longer has the item.
        """
        return self.renewed(identifier, None)

    def renewed(self, identifier: str, refused: str | None) -> str:
        """Return another URL than the one that the store has refused."""
        with self._locks.setdefault(identifier, ProcessLock()):
            url = self._urls.get(identifier)
            if url in (None, refused):
                url = self._urls[identifier] = self._link.sign(identifier, self._pause)
            return url

    def done(self, identifier: str) -> None:
        """Forget an item whose URL is not needed any more."""
        self._urls.pop(identifier, None)
        self._locks.pop(identifier, None)

    def _pause(self, seconds: float) -> None:
        """Wait before another attempt, with fewer connections."""
        self._limit.slow_down()
        self._limit.pause(seconds)
