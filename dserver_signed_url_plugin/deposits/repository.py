"""Repository for the table ``temp_share_deposit``: what `flask temp_share` has deposited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dservercore import sql_db
from dservercore.sql_models import Dataset
from sqlalchemy import DateTime, String, and_, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uploads.models import PendingUpload
from dserver_signed_url_plugin.uploads.repository import execute
from dserver_signed_url_plugin.uris import MAX_URI_LENGTH, DatasetURI


class TempShareDeposit(sql_db.Model):
    """A dataset that `flask temp_share create` deposited; ``created_at`` is UTC.

    ``is_being_deleted`` from the moment at which its deletion begins: the row outlasts the dataset,
    so that an interrupted deletion can be repeated.
    """

    __tablename__ = "temp_share_deposit"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), index=True, unique=True)
    # No part of a key: it may be longer than PostgreSQL indexes.
    uri: Mapped[str] = mapped_column(String(MAX_URI_LENGTH))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    is_being_deleted: Mapped[bool] = mapped_column(default=False)


_table, _datasets = TempShareDeposit.__table__.c, Dataset.__table__.c


@dataclass(frozen=True)
class Deposit:
    """A row of the table."""

    id: int
    uri_text: str
    created_at: datetime
    is_being_deleted: bool

    @property
    def uri(self) -> DatasetURI:
        return DatasetURI.parse(self.uri_text)


_COLUMNS = (_table.id, _table.uri, _table.created_at, _table.is_being_deleted)


def note(uri: DatasetURI) -> None:
    """Insert a deposit, unless it is known."""
    deposit = {"uuid": uri.uuid, "uri": str(uri), "created_at": datetime.now(timezone.utc)}
    try:
        execute(insert(TempShareDeposit.__table__), deposit)
    except IntegrityError:
        sql_db.session.rollback()


def find(uri: DatasetURI) -> Deposit | None:
    """Return the deposit of a dataset, if `flask temp_share` has deposited it."""
    return next(iter(_found(select(*_COLUMNS).where(_is(str(uri))))), None)


def page(before: int | None, limit: int) -> Sequence[Deposit]:
    """Return deposits, newest first.

    :param before: the id of the last deposit of the previous page.
    """
    statement = select(*_COLUMNS).order_by(_table.id.desc()).limit(limit)
    return _found(statement if before is None else statement.where(_table.id < before))


def begin_deletion(uri: DatasetURI) -> None:
    """Keep the row until the deletion of the dataset is complete."""
    execute(update(TempShareDeposit).where(_is(str(uri))).values(is_being_deleted=True))


def forget(uri: DatasetURI) -> None:
    """Delete the row of a dataset whose deletion is complete."""
    execute(delete(TempShareDeposit).where(_is(str(uri))))


def forget_dataset(uri: str) -> None:
    """Delete the row of a dataset that is deleted by other means, without a commit."""
    gone = and_(_is(uri), _table.is_being_deleted.is_(False))
    sql_db.session.execute(delete(TempShareDeposit.__table__).where(gone))


def forget_unregistered(before: datetime) -> None:
    """Delete the rows from before a time (UTC) whose dataset is neither registered nor pending.

    That of a deposit that was given up, or whose dataset was deleted in the database itself.
    """
    is_old = and_(_table.created_at < before, _table.is_being_deleted.is_(False))
    is_registered = exists(select(_datasets.id).where(_datasets.uri == _table.uri))
    is_pending = exists(select(PendingUpload.id).where(PendingUpload.uuid == _table.uuid))
    execute(delete(TempShareDeposit).where(is_old, ~is_registered, ~is_pending))


def _is(uri: str) -> Any:
    return and_(_table.uuid == uri.rpartition("/")[2], _table.uri == uri)


def _found(statement: Any) -> list[Deposit]:
    rows = sql_db.session.execute(statement).all()
    sql_db.session.rollback()
    return [Deposit(row.id, row.uri, in_utc(row.created_at), row.is_being_deleted) for row in rows]
