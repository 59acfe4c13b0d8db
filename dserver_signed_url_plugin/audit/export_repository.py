"""Statements of the export: rows of the audit in the order of their ids, without gaps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dservercore import sql_db
from sqlalchemy import func, select, text, update

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.decisions import Search
from dserver_signed_url_plugin.audit.repository import SignedURLAudit, read, statement
from dserver_signed_url_plugin.errors import DatabaseBusy

# Transactions that hold the lock of an INSERT, UPDATE or DELETE. A transaction takes it before the
# id of its row, and keeps it until it ends (PostgreSQL's manual, sections 13.3 and 53.13).
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted "
    "AND mode = 'RowExclusiveLock' AND relation = 'signed_url_audit'::regclass "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_TIMEOUT, _PAUSE = 10.0, 0.02  # seconds


def newest_id() -> int:
    """Return the id up to which no row will appear any more; 0 if there is no row.

    PostgreSQL's transactions do not commit in the order of their rows' ids, so this waits for those
    that are writing now. SQLite has one writer at a time.

    :raises DatabaseBusy: if one of them takes longer than ten seconds.
    """
    [[newest]] = read(select(func.max(SignedURLAudit.id)))
    if sql_db.engine.dialect.name == "postgresql":
        _wait_for_writers()
    return newest or 0


def _wait_for_writers() -> None:
    until, before = time.monotonic() + _TIMEOUT, set(read(_WRITERS))
    while before:
        if time.monotonic() > until:
            raise DatabaseBusy("another transaction has been writing to the audit for too long")
        time.sleep(_PAUSE)
        before &= set(read(_WRITERS))


def time_of(row_id: int) -> datetime | None:
    """Return the time of a row, or None if there is none."""
    found = read(select(SignedURLAudit.time).where(SignedURLAudit.id == row_id))
    return found[0][0] if found else None


def following(search: Search, after: int, last: int, most: int) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a search whose ids are in (after, last], in the order of their ids."""
    row = SignedURLAudit
    wanted = statement(search).order_by(None).order_by(row.id).limit(most)
    found = read(wanted.where(row.id > after, row.id <= last))
    return [dict(each._mapping) for each in found]


def end_counting(row_ids: Sequence[int]) -> None:
    """Let these rows count no more refusals; the next one of each kind will be a row of its own.

    :raises DatabaseBusy: if the table cannot be written.
    """
    row = SignedURLAudit
    # Locked in one order, so that no two exports wait for each other.
    locked = select(row.id).where(row.id.in_(row_ids)).order_by(row.id).with_for_update()
    try:
        with database.translating():
            sql_db.session.execute(
                update(row.__table__).where(row.id.in_(locked)).values(tally=None)
            )
            sql_db.session.commit()
    finally:
        sql_db.session.rollback()
