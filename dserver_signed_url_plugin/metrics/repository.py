"""The statement that counts what is pending and shared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dservercore import sql_db
from sqlalchemy import func, select

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.shares.models import Share
from dserver_signed_url_plugin.shares.repository import is_active
from dserver_signed_url_plugin.sums import sum_of_bytes
from dserver_signed_url_plugin.uploads.models import PendingUpload, UploadState


@dataclass(frozen=True)
class Counts:
    """What is in the tables; ``oldest_pending`` is when the oldest pending upload began (UTC)."""

    pending: int
    pending_bytes: int
    oldest_pending: datetime | None
    shares: int


def counts(now: datetime) -> Counts:
    """Count, in one statement.

    :raises DatabaseBusy: if the database refuses, or does not answer.
    """
    upload = PendingUpload
    shares_now = select(func.count()).select_from(Share).where(is_active(now)).scalar_subquery()
    wanted = select(
        func.count(), sum_of_bytes(upload.size_in_bytes), func.min(upload.created_at), shares_now
    ).where(upload.state != UploadState.REMOVED)
    try:
        with database.translating():
            pending, size, oldest, shares = sql_db.session.execute(wanted).one()
    finally:
        sql_db.session.rollback()
    return Counts(pending, int(size), oldest, shares)
