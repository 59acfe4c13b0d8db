"""How far a completion has come, and when the client no longer waits for this call."""

from __future__ import annotations

import threading
from time import monotonic

from dserver_signed_url_plugin.errors import AssemblyPending
from dserver_signed_url_plugin.uploads.lease import Lease


class WaitOver(Exception):
    """The call has worked for as long as the client waits; the next one goes on from here."""


class CompletionProgress:
    """Counts the items that are in place, and ends the call in time; safe to share between threads.

    The lease writes the count into the row. A ``with`` block that fails forgets it.

    :param wait_seconds: for how long the client waits; None for as long as it takes.
    """

    def __init__(self, lease: Lease, wait_seconds: int | None) -> None:
        self._lease, self._wait_seconds = lease, wait_seconds
        self._lock = threading.Lock()
        self._began = monotonic()
        self._ends: float | None = None
        lease.items_done = lease.upload.items_done or 0

    def __enter__(self) -> CompletionProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, (AssemblyPending, WaitOver)):
            self._lease.items_done = None

    def begin(self, items_done: int) -> None:
        """Begin to work on items, of which so many are in place; again after each listing.

        To list them may take long, and every call has to: it works on items for at least as long as
        that took, so that a number of calls is enough.
        """
        self._lease.items_done = items_done
        if self._ends is None and self._wait_seconds is not None:
            now = monotonic()
            self._ends = max(self._began + self._wait_seconds, now + (now - self._began))

    def item_done(self) -> None:
        """Note that an item is in place.

        :raises WaitOver: if the client no longer waits.
        """
        with self._lock:
            done, total = self._lease.items_done or 0, self._lease.upload.number_of_items
            self._lease.items_done = min(done + 1, total)
        if self._ends is not None and monotonic() >= self._ends:
            raise WaitOver
