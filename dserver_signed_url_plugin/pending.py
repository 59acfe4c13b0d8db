"""The book of pending uploads: claim a UUID, find it, hold it for a while, strike it out.

One statement, one commit each, so that several workers, threads and servers agree on who does
what. Knows the table; decides nothing about storage.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dservercore import sql_db
from sqlalchemy import Engine, case, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.models import PendingUpload

logger = logging.getLogger(__name__)

# A worker that dies is noticed after LEASE seconds; one that lives says so every RENEWAL seconds.
LEASE = 10.0
RENEWAL = 2.0


class Gone(Exception):
    """The row was completed or removed while this request was on its way."""


def find(uuid: str) -> PendingUpload | None:
    """Return the pending upload of this UUID as the database has it now, or None.

    What is returned is a copy: it stays readable when somebody else deletes the row.
    """
    statement = select(PendingUpload).where(PendingUpload.uuid == uuid)
    found: PendingUpload | None = sql_db.session.scalar(
        statement, execution_options={"populate_existing": True}
    )
    if found is not None:
        sql_db.session.expunge(found)
    sql_db.session.rollback()
    return found


def refetch(upload: PendingUpload) -> PendingUpload:
    """Return the row as it is now.

    :raises Gone: if it was completed or removed meanwhile.
    """
    now = find(upload.uuid)
    if now is None or now.id != upload.id:
        raise Gone
    return now


def claim(uuid: str, **values: Any) -> PendingUpload:
    """Write a row for the UUID, unless there is one; return the row that there is."""
    while True:
        held = find(uuid)
        if held is not None:
            return held
        try:
            _execute(insert(PendingUpload).values(uuid=uuid, **values))
        except IntegrityError:
            sql_db.session.rollback()


def note(upload: PendingUpload, **values: Any) -> None:
    """Write values into the row.

    :raises Gone: if it was completed or removed meanwhile.
    """
    if not _execute(update(PendingUpload).where(PendingUpload.id == upload.id).values(**values)):
        raise Gone


def note_urls(upload: PendingUpload, expire_at: datetime, pinned: bool) -> None:
    """Remember, before URLs are handed out, when the last one ends and if any was not pinned.

    :raises Gone: if the row is gone, and the URLs must not be handed out.
    """
    known = PendingUpload.urls_expire_at
    last = case((or_(known.is_(None), known < expire_at), expire_at), else_=known)
    note(upload, urls_expire_at=last, **({} if pinned else {"pinned": False}))


def strike_out(upload: PendingUpload) -> None:
    """Delete the row, if it is still there."""
    _execute(delete(PendingUpload).where(PendingUpload.id == upload.id))


class Lease:
    """The right to open or complete one upload; others get UploadBusy meanwhile."""

    def __init__(self, engine: Engine, row_id: int) -> None:
        self._engine, self._row_id = engine, row_id
        self.token = secrets.token_hex(16)

    def check(self) -> None:
        """Make sure, before what cannot be undone, that nobody has taken over.

        :raises UploadBusy: if this worker slept so long that another began.
        """
        if not self.renew():
            raise UploadBusy("Another request has taken over this upload; call again.", int(LEASE))

    def renew(self) -> bool:
        """Prolong the lease; False if it is lost. Usable from any thread."""
        mine = (PendingUpload.id == self._row_id, PendingUpload.lease == self.token)
        statement = update(PendingUpload).where(*mine).values(lease_ends=time.time() + LEASE)
        with self._engine.begin() as connection:
            return connection.execute(statement).rowcount == 1


@contextmanager
def leased(upload: PendingUpload) -> Iterator[Lease]:
    """Hold an upload for as long as the block runs.

    :raises UploadBusy: if somebody else holds it.
    :raises Gone: if it is no longer there.
    """
    lease = Lease(sql_db.engine, upload.id)
    free = or_(PendingUpload.lease.is_(None), PendingUpload.lease_ends < time.time())
    taken = update(PendingUpload).where(PendingUpload.id == upload.id, free)
    if not _execute(taken.values(lease=lease.token, lease_ends=time.time() + LEASE)):
        refetch(upload)
        raise UploadBusy(
            "Another request is working on this upload right now; call again in a few seconds.",
            int(LEASE),
        )
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(lease, done), daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        done.set()
        heart.join()
        sql_db.session.rollback()
        mine = update(PendingUpload).where(PendingUpload.lease == lease.token)
        _execute(mine.values(lease=None, lease_ends=None))


def _beat(lease: Lease, done: threading.Event) -> None:
    while not done.wait(RENEWAL):
        try:
            if not lease.renew():
                return
        except SQLAlchemyError as error:
            # The next beat may get through; if none does, the lease ends, and check() says so.
            logger.warning("A lease could not be renewed: %s", type(error).__name__)


def _execute(statement: Any) -> bool:
    """Run one statement and commit; tell whether it met a row."""
    result = sql_db.session.execute(statement, execution_options={"synchronize_session": False})
    sql_db.session.commit()
    return bool(result.rowcount)
