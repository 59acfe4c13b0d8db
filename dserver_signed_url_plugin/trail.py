"""The book of decisions: who was granted or refused what, kept for a while.

Knows the table and its statements, and that nobody's request may wait for it. What a decision is
and what must not be in it is known in audit.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dservercore import sql_db
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Integer,
    Select,
    String,
    delete,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from dserver_signed_url_plugin.errors import DatabaseBusy

logger = logging.getLogger(__name__)

# The most that a request is held up by somebody else's lock on the database.
MOST_MILLISECONDS = 1000
_HURRY = text(
    f"SELECT set_config('lock_timeout', '{MOST_MILLISECONDS}', true), "
    "set_config('synchronous_commit', 'off', true)"
)
# 1 is NORMAL: a commit is not yet on the disk where SQLite writes ahead, and nothing can break.
_PRAGMAS = {"busy_timeout": MOST_MILLISECONDS, "synchronous": 1}
# Every so many rows one takes old ones with it: more than come, so that none are left behind.
ROWS_BETWEEN_PURGES = 100
MOST_PURGED = 1000


class SignedURLAudit(sql_db.Model):
    """One decision; ``username`` and ``uri`` are empty where there was none. Times are UTC."""

    __tablename__ = "signed_url_audit"

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


@dataclass(frozen=True)
class Search:
    """Which rows are asked for.

    ``uri`` is a dataset's, or with ``below`` a base URI with all that is below it; ``before`` is
    the id of the last row that is known already.
    """

    uri: str | None = None
    below: bool = False
    username: str | None = None
    since: datetime | None = None
    before: int | None = None


def write(values: Mapping[str, Any], keep_since: datetime) -> None:
    """Write a row, and now and then delete some that are older than ``keep_since``.

    What the session has not committed is undone. A row that cannot be written is lost, with a
    warning: whoever asked for something gets the answer that was decided.
    """
    try:
        # Gives the session's connection back, for otherwise a request would need two at once.
        sql_db.session.rollback()
        with _hurried() as connection:
            number = _insert(connection, values)
            connection.commit()
        if number % ROWS_BETWEEN_PURGES == 0:
            _purge(keep_since)
    except (SQLAlchemyError, sqlite3.Error) as error:
        # Its words would hold the statement.
        logger.warning(
            "signed_url_audit could not be written (%s); was `flask db upgrade` run?",
            type(error).__name__,
        )


def find(search: Search, most: int) -> Sequence[Mapping[str, Any]]:
    """Return rows, the last written first.

    :raises DatabaseBusy: if the table cannot be read.
    """
    try:
        # The session, because a view's own statements left it holding a connection.
        found = sql_db.session.execute(_statement(search).limit(most)).mappings()
        rows: Sequence[Mapping[str, Any]] = found.all()
        sql_db.session.rollback()
    except SQLAlchemyError as error:
        sql_db.session.rollback()
        raise DatabaseBusy(
            "The table signed_url_audit cannot be read: the server's database is busy, or its "
            "administrator has still to run `flask db upgrade`."
        ) from error
    return rows


def _statement(search: Search) -> Select[Any]:
    row = SignedURLAudit
    wanted = select(*row.__table__.columns).order_by(row.id.desc())
    if search.uri is not None:
        # Not LIKE, for which SQLite takes capitals and small letters for the same.
        below = func.substr(row.uri, 1, len(search.uri) + 1) == f"{search.uri}/"
        exactly = row.uri == search.uri
        wanted = wanted.where(or_(exactly, below) if search.below else exactly)
    if search.username is not None:
        wanted = wanted.where(row.username == search.username)
    if search.since is not None:
        wanted = wanted.where(row.time >= search.since)
    if search.before is not None:
        wanted = wanted.where(row.id < search.before)
    return wanted


def _insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Write a row and return its number."""
    key = connection.execute(insert(SignedURLAudit.__table__), values).inserted_primary_key
    return 0 if key is None else int(key[0])


def _purge(keep_since: datetime) -> None:
    """Delete some of the oldest rows; two at once take different ones."""
    old = (
        select(SignedURLAudit.id)
        .where(SignedURLAudit.time < keep_since)
        .order_by(SignedURLAudit.time)
        .limit(MOST_PURGED)
        .with_for_update(skip_locked=True)
    )
    with _hurried() as connection:
        connection.execute(delete(SignedURLAudit).where(SignedURLAudit.id.in_(old)))
        connection.commit()


@contextmanager
def _hurried() -> Iterator[Connection]:
    """Connect for one transaction that waits for nobody's lock for long, and for no disk.

    When a machine loses its power, so may the table its last decisions: nothing else, and the log
    has them.
    """
    with sql_db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_HURRY)
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
            # The connection goes back to those that others take.
            connection.rollback()
            for name, value in before.items():
                driver.execute(f"PRAGMA {name} = {value}")
            driver.close()
