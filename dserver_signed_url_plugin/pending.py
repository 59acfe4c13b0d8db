"""The book of pending uploads: claim a UUID, find it, hold it for a while, strike it out.

One statement, one commit each, so that several workers, threads and servers agree on who does
what. Knows the table; decides nothing about storage.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timezone
from functools import partial
from typing import Any

from dservercore import sql_db
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Insert,
    SQLColumnExpression,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.models import REMOVED, PendingUpload
from dserver_signed_url_plugin.quotas import Quota

logger = logging.getLogger(__name__)

# A worker that dies is noticed after LEASE seconds; one that lives says so every RENEWAL seconds.
LEASE = 10.0
RENEWAL = 2.0
_CLAIMS = 5

_LAST_ACTIVE = func.coalesce(PendingUpload.last_active_at, PendingUpload.created_at)


class Gone(Exception):
    """The row was completed or removed while this request was on its way."""


def find(uuid: str) -> PendingUpload | None:
    """Return the pending upload of this UUID as the database has it now, or None.

    What is returned is a copy: it stays readable when somebody else deletes the row. What was
    announced, which may be megabytes, is left out; see announced().
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


def announced(upload: PendingUpload) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest of an upload as it was announced, and its tags and annotations.

    :raises Gone: if it was completed or removed meanwhile.
    """
    return _documents(upload, PendingUpload.manifest_json)


def frozen(upload: PendingUpload) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifest with which an upload was frozen, and its tags and annotations.

    :raises Gone: if it was completed or removed meanwhile.
    """
    # Rows that were frozen before there were two hold it where the announced one was.
    kept = func.coalesce(PendingUpload.frozen_manifest_json, PendingUpload.manifest_json)
    return _documents(upload, kept)


def claim(uuid: str, quota: Quota | None = None, **values: Any) -> PendingUpload:
    """Write a row for the UUID, unless there is one; return the row that there is.

    :param quota: what the uploader may have pending, asked where a row is written.
    :raises TooMuchPending: if that leaves no room for one more.
    :raises UploadBusy: if rows of this UUID come and go.
    """
    is_tried = False
    for _ in range(_CLAIMS):
        held = find(uuid)
        if held is not None:
            return held
        if is_tried and quota is not None:
            raise quota.refusal(values["uploader"], values["size_in_bytes"])
        try:
            # Not every driver tells how many rows this has written.
            row = {"uuid": uuid, "last_active_at": values["created_at"], **values}
            _wait_for_others(quota, values["uploader"])
            _execute(_insertion(quota, row), _new(row))
            is_tried = True
        except IntegrityError:
            sql_db.session.rollback()
    raise UploadBusy(f"Upload {uuid} is begun and removed at this moment; call again.", 1)


def listed(idle_since: datetime | None = None) -> list[PendingUpload]:
    """Return the uploads that wait, the oldest first.

    :param idle_since: only those on which nobody has worked since then (UTC).
    """
    waiting = PendingUpload.state != REMOVED
    if idle_since is None:
        return _copies(waiting)
    return _copies(and_(waiting, idle_since > _LAST_ACTIVE))


def removed() -> list[PendingUpload]:
    """Return the uploads that were removed while their URLs lived."""
    return _copies(PendingUpload.state == REMOVED)


def alike(uploader: str, base_uri: str, fingerprint: str) -> PendingUpload | None:
    """Return the first upload that waits of all that were announced alike, or None."""
    found = _copies(
        and_(
            PendingUpload.uploader == uploader,
            PendingUpload.base_uri == base_uri,
            PendingUpload.fingerprint == fingerprint,
            PendingUpload.state != REMOVED,
        )
    )
    return min(found, key=lambda upload: upload.id, default=None)


class Lease:
    """The right to work on one upload; others get UploadBusy meanwhile.

    ``upload`` is the row under the lease, with its holder's changes; what was read before may be
    out of date. What its holder writes is written only if nobody has taken over.
    """

    upload: PendingUpload

    def __init__(self, engine: Engine, row_id: int) -> None:
        self._engine = engine
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
            raise _taken_over()

    def note(self, **values: Any) -> None:
        """Write values into the row.

        :raises UploadBusy: if somebody else has taken over.
        """
        # SQLAlchemy keeps statements, and the values in them: a manifest may be megabytes.
        names: dict[str, Any] = {name: bindparam(f"new_{name}") for name in values}
        if not _execute(update(PendingUpload).where(self._mine).values(**names), _new(values)):
            raise _taken_over()
        for name, value in values.items():
            setattr(self.upload, name, value)

    def note_urls(self, expire_at: datetime, pinned: bool) -> None:
        """Remember, before URLs are handed out, when the last one ends and if any was not pinned.

        :raises UploadBusy: if somebody else has taken over, and they must not be handed out.
        """
        known = self.upload.urls_expire_at_utc
        self.note(
            urls_expire_at=expire_at if known is None else max(known, expire_at),
            pinned=self.upload.pinned and pinned,
        )

    def retire(self) -> None:
        """Give the upload up, but keep its row while somebody can still write.

        :raises UploadBusy: if somebody else has taken over.
        """
        if self.upload.urls_live:
            self.note(state=REMOVED)
        else:
            self.strike_out()

    def strike_out(self) -> None:
        """Delete the row.

        :raises UploadBusy: if somebody else has taken over.
        """
        if not _execute(delete(PendingUpload).where(self._mine)):
            raise _taken_over()

    def give_back(self) -> None:
        """Let others have the row, if it is still this lease's and still there."""
        _execute(update(PendingUpload).where(self._mine).values(lease=None, lease_ends=None))


@contextmanager
def leased(upload: PendingUpload, active: bool = False) -> Iterator[Lease]:
    """Hold an upload for as long as the block runs, which decides by the lease's row.

    :param active: whether this is work on the upload, which is then not idle.
    :raises UploadBusy: if somebody else holds it.
    :raises Gone: if it is no longer there.
    """
    lease = Lease(sql_db.engine, upload.id)
    if not lease.take(active):
        refetch(upload)
        raise UploadBusy(
            "Another request is working on this upload right now; call again in a few seconds.",
            int(LEASE),
        )
    done = threading.Event()
    # In this context: neither waits longer for the database than the other.
    beat = partial(copy_context().run, _beat, lease, done)
    heart = threading.Thread(target=beat, name=_beat.__name__, daemon=True)
    heart.start()
    try:
        lease.upload = refetch(upload)
        yield lease
    finally:
        done.set()
        heart.join()
        sql_db.session.rollback()
        lease.give_back()


def _wait_for_others(quota: Quota | None, uploader: str) -> None:
    """Let PostgreSQL add one person's bytes one after the other, until the transaction ends.

    SQLite writes one after the other by itself.
    """
    is_shared = sql_db.engine.dialect.name == "postgresql"
    if is_shared and quota is not None and quota.size_in_bytes is not None:
        sql_db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(uploader))))


def _insertion(quota: Quota | None, values: Mapping[str, Any]) -> Insert:
    """Return the statement that writes a row of these values, if there is room for it."""
    columns = PendingUpload.__table__.c
    # Without the values, because SQLAlchemy keeps statements and a manifest may be megabytes.
    row = select(*(bindparam(f"new_{name}", type_=columns[name].type) for name in values))
    if quota is not None:
        row = row.where(quota.has_room(values["uploader"], values["size_in_bytes"]))
    return insert(PendingUpload.__table__).from_select(list(values), row)


def _new(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters by which statements here take values for columns."""
    return {f"new_{name}": value for name, value in values.items()}


def _documents(
    upload: PendingUpload, manifest: SQLColumnExpression[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    columns = select(manifest, PendingUpload.descriptions_json)
    row = sql_db.session.execute(columns.where(PendingUpload.id == upload.id)).one_or_none()
    sql_db.session.rollback()
    if row is None:
        raise Gone
    return json.loads(row[0]), json.loads(row[1])


def _copies(where: ColumnElement[bool]) -> list[PendingUpload]:
    statement = select(PendingUpload).where(where).order_by(PendingUpload.created_at)
    found = list(sql_db.session.scalars(statement))
    sql_db.session.expunge_all()
    sql_db.session.rollback()
    return found


def _beat(lease: Lease, done: threading.Event) -> None:
    while not done.wait(RENEWAL):
        try:
            if not lease.renew():
                return
        except SQLAlchemyError as error:
            # The next beat may get through; if none does, the lease ends, and check() says so.
            logger.warning("A lease could not be renewed: %s", type(error).__name__)


def _taken_over() -> UploadBusy:
    return UploadBusy("Another request has taken over this upload; call again.", int(LEASE))


def _now(connection: Connection) -> float:
    """Return the database's time, in seconds since 1970 UTC: servers' clocks may differ."""
    now: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return now.replace(tzinfo=now.tzinfo or timezone.utc).timestamp()


def _met(connection: Connection, statement: Any) -> bool:
    return connection.execute(statement).rowcount == 1


def _execute(statement: Any, values: Mapping[str, Any] | None = None) -> bool:
    """Run one statement and commit; tell whether it met a row."""
    options = {"synchronize_session": False}
    result = sql_db.session.execute(statement, values, execution_options=options)
    sql_db.session.commit()
    return bool(result.rowcount)
