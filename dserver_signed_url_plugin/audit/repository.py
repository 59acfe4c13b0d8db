"""Repository for the ``signed_url_audit`` table: its model and its statements.

No request waits for this table for long. Which decisions are counted together, and what they must
not hold, is decided in ``decisions``.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dservercore import sql_db
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Delete,
    Executable,
    Index,
    Integer,
    Row,
    Select,
    String,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.decisions import Search

# Not below the logger of the audit, each of whose lines is a JSON object.
logger = logging.getLogger("dserver_signed_url_plugin.audit_table")

# The longest that a request waits for another transaction's lock.
MAX_MILLISECONDS = 1000
_SHORT_TRANSACTION = text(
    f"SELECT set_config('lock_timeout', '{MAX_MILLISECONDS}', true), "
    "set_config('synchronous_commit', 'off', true)"
)
# 1 is NORMAL: a commit is not yet on the disk where SQLite writes ahead, and nothing can break.
_PRAGMAS = {"busy_timeout": MAX_MILLISECONDS, "synchronous": 1}
# Rows deleted in one transaction, so that inserts do not wait for long.
MAX_PURGED = 1000


class SignedURLAudit(sql_db.Model):
    """One decision, or some that were counted together.

    ``username`` and ``uri`` are empty where there was none. Times are UTC.
    """

    __tablename__ = "signed_url_audit"
    # Decisions about a base URI, and about a share, the newest first.
    __table_args__ = (
        Index("ix_signed_url_audit_base_uri", "base_uri", "id"),
        Index("ix_signed_url_audit_share", "share", "id"),
        # The last runs of commands, which are few among all decisions.
        Index(
            "ix_signed_url_audit_operator",
            "action",
            "base_uri",
            "outcome",
            "id",
            postgresql_where=text("operator IS NOT NULL"),
            sqlite_where=text("operator IS NOT NULL"),
        ),
    )

    # SQLite counts by itself only what is called INTEGER.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    username: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(32))
    uri: Mapped[str] = mapped_column(String(1024), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    items: Mapped[int | None]
    size_in_bytes: Mapped[int | None] = mapped_column(BigInteger)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    # Defaults of the database, for whoever adds the columns to a table that has rows.
    base_uri: Mapped[str] = mapped_column(String(1024), server_default="")
    requests: Mapped[int] = mapped_column(server_default="1")
    # How the items of a completed upload were verified: by "md5", or some of them by "parts" only.
    verified: Mapped[str | None] = mapped_column(String(8))
    # The ID of the share that the request was about.
    share: Mapped[str | None] = mapped_column(String(16))
    # The login of whoever ran a command, and on which machine; not of a request.
    operator: Mapped[str | None] = mapped_column(String(255))
    host: Mapped[str | None] = mapped_column(String(64))
    # What is counted together has the same, and nothing else has it. A row that was exported has
    # none any more, and counts no more.
    tally: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)


def write(values: Mapping[str, Any]) -> None:
    """Insert a row, or increment ``requests`` of the row that has the same ``tally``.

    Uncommitted changes of the session are rolled back. A row that cannot be written is lost, with
    a warning, and the response is sent all the same.
    """
    try:
        # Returns the session's connection, so that a request never needs two at once.
        sql_db.session.rollback()
        with _short_transaction() as connection:
            connection.execute(_insertion(connection.dialect.name), values)
            connection.commit()
    except (SQLAlchemyError, sqlite3.Error) as error:
        # Not its message, which holds the statement.
        logger.warning(
            "signed_url_audit could not be written (%s); was `flask db upgrade` run?",
            type(error).__name__,
        )


def purge(keep_since: datetime) -> int:
    """Delete older rows and return their number. Concurrent calls delete different rows.

    The newest row stays, which nothing shows any more: exports recognise the table by it, and
    SQLite would give its ID again.

    :raises DatabaseBusy: if they cannot be deleted.
    """
    purged = 0
    with database.translating():
        sql_db.session.rollback()
        while True:
            with _short_transaction() as connection:
                done: int = connection.execute(_oldest(keep_since)).rowcount
                connection.commit()
            purged += done
            if done < MAX_PURGED:
                return purged


def find(search: Search, most: int) -> Sequence[Mapping[str, Any]]:
    """Return rows, the last written first.

    :raises DatabaseBusy: if the table cannot be read.
    """
    return [dict(each._mapping) for each in read(statement(search).limit(most))]


def uses(share: str, actions: Collection[str]) -> Sequence[tuple[str, int, datetime]]:
    """Return how often a share was granted each of these actions, and when last, by action.

    :raises DatabaseBusy: if the table cannot be read.
    """
    row = SignedURLAudit
    wanted = (
        select(row.action, func.sum(row.requests), func.max(row.time))
        .where(row.share == share, row.outcome == "granted", row.action.in_(actions))
        .group_by(row.action)
    )
    return [tuple(each) for each in read(wanted)]


def last_runs() -> Sequence[tuple[str, str, str, datetime, str | None]]:
    """Return the last run of each command, base URI and outcome.

    Each as its action, base URI, outcome, time and reason.

    :raises DatabaseBusy: if the table cannot be read.
    """
    row = SignedURLAudit
    newest = (
        select(func.max(row.id))
        .where(row.operator.is_not(None), row.action.like("flask %"))
        .group_by(row.action, row.base_uri, row.outcome)
    )
    columns = (row.action, row.base_uri, row.outcome, row.time, row.reason)
    wanted = select(*columns).where(row.id.in_(newest))
    return [tuple(each) for each in read(wanted)]


def statement(search: Search) -> Select[Any]:
    """Return the SELECT for a search; there is an index for each search by URI."""
    row = SignedURLAudit
    wanted = select(*row.__table__.columns).order_by(row.id.desc())
    if search.uri is not None:
        wanted = wanted.where((row.base_uri if search.below else row.uri) == search.uri)
    if search.username is not None:
        wanted = wanted.where(row.username == search.username)
    if search.share is not None:
        wanted = wanted.where(row.share == search.share)
    if search.since is not None:
        wanted = wanted.where(row.time >= search.since)
    if search.until is not None:
        wanted = wanted.where(row.time < search.until)
    if search.before is not None:
        wanted = wanted.where(row.id < search.before)
    return wanted


def read(wanted: Executable) -> Sequence[Row[Any]]:
    """Return the rows of a statement.

    :raises DatabaseBusy: if the table cannot be read.
    """
    try:
        with database.translating():
            # In the session, which already holds a connection because of the view's statements.
            rows: Sequence[Row[Any]] = sql_db.session.execute(wanted).all()
            return rows
    finally:
        sql_db.session.rollback()


def _insertion(dialect: str) -> Executable:
    """Return the INSERT that increments ``requests`` of the row that has the same tally.

    In one statement, as an export may end the counting of that row meanwhile.
    """
    table = SignedURLAudit.__table__
    statement: postgresql.Insert | sqlite.Insert
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    one_more = {"requests": table.c.requests + 1}
    return statement.on_conflict_do_update(index_elements=[table.c.tally], set_=one_more)


def _oldest(keep_since: datetime) -> Delete:
    old = (
        select(SignedURLAudit.id)
        .where(SignedURLAudit.time < keep_since)
        .where(SignedURLAudit.id < select(func.max(SignedURLAudit.id)).scalar_subquery())
        .order_by(SignedURLAudit.time)
        .limit(MAX_PURGED)
        .with_for_update(skip_locked=True)
    )
    return delete(SignedURLAudit).where(SignedURLAudit.id.in_(old))


@contextmanager
def _short_transaction() -> Iterator[Connection]:
    """Open a connection whose transaction waits briefly for locks, and not for the disk.

    After a power failure the last decisions may be missing from the table, but not from the log.
    """
    with sql_db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_SHORT_TRANSACTION)
        if connection.dialect.name != "sqlite":
            yield connection
            return
        driver = connection.connection.cursor()
        before: dict[str, int] = {}
        try:
            for name, most in _PRAGMAS.items():
                [[before[name]]] = driver.execute(f"PRAGMA {name}").fetchall()
                driver.execute(f"PRAGMA {name} = {min(before[name], most)}")
            yield connection
        finally:
            # The connection returns to the pool.
            connection.rollback()
            for name, value in before.items():
                driver.execute(f"PRAGMA {name} = {value}")
            driver.close()
