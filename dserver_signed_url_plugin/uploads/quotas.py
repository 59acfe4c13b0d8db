"""Quotas: how many uploads, and how many bytes, one user may have pending.

The database counts them in the statement that inserts an upload, or begins a removed one again.
Those who do so at once cannot exceed the bytes, but the number of uploads by a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dservercore import sql_db
from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, select, true

from dserver_signed_url_plugin.errors import SizesRequired, TooMuchPending
from dserver_signed_url_plugin.sums import sum_of_bytes
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState

# A removed upload, whose row is kept until its URLs have ended, counts as a tenth.
_WHOLE = 10

_BYTES = sum_of_bytes(PendingUpload.size_in_bytes)
_IS_PENDING = PendingUpload.state != UploadState.REMOVED


@dataclass(frozen=True)
class Usage:
    """What a user has pending; ``uploader`` is empty for the operator, ``oldest`` is UTC.

    ``size_in_bytes`` leaves out uploads that did not announce the size of every item.
    """

    uploader: str
    uploads: int
    size_in_bytes: int
    oldest: datetime


@dataclass(frozen=True)
class Quota:
    """The limits for one user: uploads, and announced bytes or None."""

    uploads: int
    size_in_bytes: int | None = None

    def has_room(self, uploader: str, size_in_bytes: int | None) -> ColumnElement[bool]:
        """Return the condition under which one more upload may be pending.

        :param size_in_bytes: its bytes as announced.
        :raises SizesRequired: if bytes are limited, and not all of its sizes are announced.
        """
        mine = PendingUpload.uploader == uploader
        weights = case((_IS_PENDING, _WHOLE), else_=1)
        used = select(func.coalesce(func.sum(weights), 0)).where(mine).correlate(None)
        # PostgreSQL takes a number for a 32-bit integer unless its type is said.
        room = used.scalar_subquery() < literal(_WHOLE * self.uploads, BigInteger)
        if self.size_in_bytes is None:
            return and_(true(), room)
        if size_in_bytes is None:
            raise SizesRequired
        bytes_used = select(_BYTES).where(mine, _IS_PENDING).correlate(None).scalar_subquery()
        return and_(room, bytes_used <= self.size_in_bytes - size_in_bytes)

    def refusal(self, uploader: str, size_in_bytes: int | None) -> TooMuchPending:
        """Return the error for an upload that exceeds the quota."""
        statement = select(func.count(), _BYTES).where(
            PendingUpload.uploader == uploader, _IS_PENDING
        )
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
    """Return what each user has pending; most bytes first."""
    columns: tuple[Any, ...] = (
        PendingUpload.uploader,
        func.count(),
        _BYTES,
        func.min(PendingUpload.created_at),
    )
    statement = select(*columns).where(_IS_PENDING).group_by(PendingUpload.uploader)
    found = [
        Usage(uploader, uploads, int(size), in_utc(oldest))
        for uploader, uploads, size, oldest in sql_db.session.execute(statement)
    ]
    sql_db.session.rollback()
    return sorted(found, key=lambda use: (-use.size_in_bytes, -use.uploads, use.uploader))
