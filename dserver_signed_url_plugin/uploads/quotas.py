"""What one person may have pending: counted by the database, in the statement that adds to it.

Knows the limits and how much is used; who is a person, and what is announced, is known in uploads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dservercore import sql_db
from sqlalchemy import ColumnElement, Double, and_, case, cast, func, select, true

from dserver_signed_url_plugin.errors import SizesRequired, TooMuchPending
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uploads.models import REMOVED, PendingUpload

# A removed upload, whose row is kept until its URLs have ended, counts a tenth.
_WHOLE = 10

# Bytes as announced, which may be more in all than an integer of SQLite holds.
_BYTES = func.coalesce(func.sum(cast(PendingUpload.size_in_bytes, Double)), 0)
_WAITS = PendingUpload.state != REMOVED


@dataclass(frozen=True)
class Usage:
    """What somebody has pending; ``uploader`` is empty for an operator, ``oldest`` in UTC.

    ``size_in_bytes`` leaves out uploads that did not say the size of each item.
    """

    uploader: str
    uploads: int
    size_in_bytes: int
    oldest: datetime


@dataclass(frozen=True)
class Quota:
    """The limits for one person: uploads, and bytes announced or None."""

    uploads: int
    size_in_bytes: int | None = None

    def has_room(self, uploader: str, size_in_bytes: int | None) -> ColumnElement[bool]:
        """Return the condition under which one more upload may be added.

        :param size_in_bytes: how many it announces.
        :raises SizesRequired: if bytes are limited, and it does not say how many it has.
        """
        mine = PendingUpload.uploader == uploader
        weights = case((_WAITS, _WHOLE), else_=1)
        used = select(func.coalesce(func.sum(weights), 0)).where(mine).scalar_subquery()
        room = used < _WHOLE * self.uploads
        if self.size_in_bytes is None:
            return and_(true(), room)
        if size_in_bytes is None:
            raise SizesRequired
        bytes_used = select(_BYTES).where(mine, _WAITS).scalar_subquery()
        return and_(room, bytes_used <= self.size_in_bytes - size_in_bytes)

    def check(self, uploader: str, size_in_bytes: int | None) -> None:
        """Refuse to begin a removed upload again, for which there is no room.

        :raises TooMuchPending: with the limit.
        """
        has_room = sql_db.session.scalar(select(self.has_room(uploader, size_in_bytes)))
        sql_db.session.rollback()
        if not has_room:
            raise self.refusal(uploader, size_in_bytes)

    def refusal(self, uploader: str, size_in_bytes: int | None) -> TooMuchPending:
        """Return the error for an upload for which there was no room."""
        statement = select(func.count(), _BYTES).where(PendingUpload.uploader == uploader, _WAITS)
        uploads, used = sql_db.session.execute(statement).one()
        sql_db.session.rollback()
        most = self.size_in_bytes
        if most is not None and used + (size_in_bytes or 0) > most:
            return TooMuchPending(
                f"{int(used)} bytes announced and not registered, and announce {size_in_bytes} "
                "more",
                most,
                "SIGNED_URL_MAX_PENDING_BYTES",
            )
        return TooMuchPending(
            f"{uploads} uploads pending, or cancelled not long ago",
            self.uploads,
            "SIGNED_URL_MAX_PENDING",
        )


def by_person() -> Sequence[Usage]:
    """Return who has how much pending; those with most bytes first."""
    columns: tuple[Any, ...] = (
        PendingUpload.uploader,
        func.count(),
        _BYTES,
        func.min(PendingUpload.created_at),
    )
    statement = select(*columns).where(_WAITS).group_by(PendingUpload.uploader)
    found = [
        Usage(uploader, uploads, int(size), in_utc(oldest))
        for uploader, uploads, size, oldest in sql_db.session.execute(statement)
    ]
    sql_db.session.rollback()
    return sorted(found, key=lambda use: (-use.size_in_bytes, -use.uploads, use.uploader))
