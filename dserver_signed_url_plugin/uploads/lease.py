"""The lease of a pending upload: the right to work on it, held by one request at a time.

Written into the row, so that threads, workers and servers respect it. A heartbeat renews it while
its holder works; a lease that is not renewed ends.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timezone
from functools import partial
from typing import Any

from dservercore import sql_db
from sqlalchemy import Connection, Engine, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.uploads.models import REMOVED, PendingUpload
from dserver_signed_url_plugin.uploads.repository import execute, parameters, refetch

logger = logging.getLogger(__name__)

# A worker that dies is noticed after LEASE seconds; one that lives says so every RENEWAL seconds.
LEASE = 10.0
RENEWAL = 2.0


class Lease:
    """The right to work on one upload; others get UploadBusy meanwhile.

    ``upload`` is the row under the lease, with its holder's changes; what was read before may be
    out of date. What its holder writes is written only if nobody has taken over.
    """

    upload: PendingUpload

    def __init__(self, engine: Engine, row_id: int, uuid: str) -> None:
        self._engine, self._uuid = engine, uuid
        self.token = secrets.token_hex(16)
        self._row = PendingUpload.id == row_id
        self._mine = and_(self._row, PendingUpload.lease == self.token)

    def take(self, active: bool) -> bool:
        """Take the row, unless somebody else holds it; False if so, or if it is gone.

        :param active: whether this is work on the upload, which is then not idle.
        """
        values: dict[str, Any] = {"lease": self.token}
        if active:
            values["last_active_at"] = datetime.now(timezone.utc)
        with self._engine.begin() as connection:
            now = _now(connection)
            free = or_(PendingUpload.lease.is_(None), PendingUpload.lease_ends < now)
            taken = update(PendingUpload).where(self._row, free)
            return _met(connection, taken.values(lease_ends=now + LEASE, **values))

    def renew(self) -> bool:
        """Prolong the lease; False if it is lost. Usable from any thread."""
        with self._engine.begin() as connection:
            prolonged = update(PendingUpload).where(self._mine)
            return _met(connection, prolonged.values(lease_ends=_now(connection) + LEASE))

    def check(self) -> None:
        """Make sure, before what cannot be undone, that nobody has taken over.

        :raises UploadBusy: if this worker slept so long that another began.
        """
        if not self.renew():
            raise self._taken_over()

    def update(self, **values: Any) -> None:
        """Write values into the row.

        :raises UploadBusy: if somebody else has taken over.
        """
        # SQLAlchemy keeps statements, and the values in them: a manifest may be megabytes.
        names: dict[str, Any] = {name: bindparam(f"new_{name}") for name in values}
        if not execute(update(PendingUpload).where(self._mine).values(**names), parameters(values)):
            raise self._taken_over()
        for name, value in values.items():
            setattr(self.upload, name, value)

    def record_urls(self, expire_at: datetime, pinned: bool) -> None:
        """Remember, before URLs are handed out, when the last one ends and if any was not pinned.

        :raises UploadBusy: if somebody else has taken over, and they must not be handed out.
        """
        known = self.upload.urls_expire_at_utc
        self.update(
            urls_expire_at=expire_at if known is None else max(known, expire_at),
            pinned=self.upload.pinned and pinned,
        )

    def retire(self) -> None:
        """Give the upload up, but keep its row while somebody can still write.

        :raises UploadBusy: if somebody else has taken over.
        """
        if self.upload.urls_live:
            self.update(state=REMOVED)
        else:
            self.delete()

    def delete(self) -> None:
        """Delete the row.

        :raises UploadBusy: if somebody else has taken over.
        """
        if not execute(delete(PendingUpload).where(self._mine)):
            raise self._taken_over()

    def _taken_over(self) -> UploadBusy:
        # Not the row's UUID: whoever has taken over may have deleted the row.
        return UploadBusy(self._uuid, int(LEASE))

    def release(self) -> None:
        """Let others have the row, if it is still this lease's and still there."""
        execute(update(PendingUpload).where(self._mine).values(lease=None, lease_ends=None))


@contextmanager
def leased(upload: PendingUpload, active: bool = False) -> Iterator[Lease]:
    """Hold an upload for as long as the block runs, which decides by the lease's row.

    :param active: whether this is work on the upload, which is then not idle.
    :raises UploadBusy: if somebody else holds it.
    :raises UploadGone: if it is no longer there.
    """
    lease = Lease(sql_db.engine, upload.id, upload.uuid)
    if not lease.take(active):
        refetch(upload)
        raise UploadBusy(upload.uuid, int(LEASE))
    done = threading.Event()
    # In this context: neither waits longer for the database than the other.
    beat = partial(copy_context().run, _heartbeat, lease, done)
    heart = threading.Thread(target=beat, name=_heartbeat.__name__, daemon=True)
    heart.start()
    try:
        lease.upload = refetch(upload)
        yield lease
    finally:
        done.set()
        heart.join()
        sql_db.session.rollback()
        lease.release()


def _heartbeat(lease: Lease, done: threading.Event) -> None:
    while not done.wait(RENEWAL):
        try:
            if not lease.renew():
                return
        except SQLAlchemyError as error:
            # The next beat may get through; if none does, the lease ends, and check() says so.
            logger.warning("A lease could not be renewed: %s", type(error).__name__)


def _now(connection: Connection) -> float:
    """Return the database's time, in seconds since 1970 UTC: servers' clocks may differ."""
    now: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return now.replace(tzinfo=now.tzinfo or timezone.utc).timestamp()


def _met(connection: Connection, statement: Any) -> bool:
    return connection.execute(statement).rowcount == 1
