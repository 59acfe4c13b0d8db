"""The lease of a pending upload: the right to work on it, held by one request at a time.

It is a column of the row, so that all threads, workers and servers respect it. A heartbeat renews
it while its holder works; a lease that is not renewed ends.
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
from sqlalchemy import Connection, Engine, and_, bindparam, delete, or_, update
from sqlalchemy.exc import SQLAlchemyError

from dserver_signed_url_plugin import request_ids
from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.uploads.models import (
    AnnouncedManifest,
    ItemInParts,
    PendingUpload,
    UploadState,
)
from dserver_signed_url_plugin.uploads.quotas import Quota
from dserver_signed_url_plugin.uploads.repository import (
    REMOVAL,
    database_time,
    execute,
    latest,
    lock_quota,
    parameters,
    refetch,
)

logger = logging.getLogger(__name__)

# Seconds after which the lease of a worker that died ends, and between two heartbeats.
LEASE = 10.0
RENEWAL = 2.0


class Lease:
    """The right to work on one upload; other requests get UploadBusy meanwhile.

    ``upload`` is the row as it is under the lease; what was read before may be out of date. An
    update is written only if the lease is still held.
    """

    upload: PendingUpload

    def __init__(self, engine: Engine, row_id: int, uuid: str, *, removal: bool = False) -> None:
        self._engine, self._uuid = engine, uuid
        self._progress: dict[str, int | None] = {}
        self.token = f"{REMOVAL}{secrets.token_hex(12)}" if removal else secrets.token_hex(16)
        self._row = PendingUpload.id == row_id
        self._mine = and_(self._row, PendingUpload.lease == self.token)

    @property
    def items_done(self) -> int | None:
        """How many items a completion has in place; None if it does not go on.

        Once it is set, every renewal writes it. Requests that complete nothing leave it as it is.
        """
        return self._progress.get("items_done")

    @items_done.setter
    def items_done(self, number: int | None) -> None:
        self._progress = {"items_done": number}

    def take(self, *, active: bool) -> bool:
        """Take the lease; False if another request holds it, or the row is gone.

        :param active: whether this counts as activity of a user.
        """
        values: dict[str, Any] = {"lease": self.token}
        if active:
            values["last_active_at"] = datetime.now(timezone.utc)
        with self._engine.begin() as connection:
            now = database_time(connection)
            free = or_(PendingUpload.lease.is_(None), PendingUpload.lease_ends < now)
            taken = update(PendingUpload).where(self._row, free)
            return _affected(connection, taken.values(lease_ends=now + LEASE, **values))

    def renew(self) -> bool:
        """Renew the lease; False if it is lost. Safe to call from any thread."""
        with self._engine.begin() as connection:
            prolonged = update(PendingUpload).where(self._mine)
            ends = database_time(connection) + LEASE
            values = prolonged.values(lease_ends=ends, **self._progress)
            return _affected(connection, values)

    def check(self) -> None:
        """Renew the lease before what cannot be undone.

        :raises UploadBusy: if this worker was paused so long that another has taken over.
        """
        if not self.renew():
            raise self._taken_over()

    def update(self, **values: Any) -> None:
        """Write values into the row.

        :raises UploadBusy: if another request has taken over.
        """
        # SQLAlchemy caches statements with the values in them, and a manifest may be megabytes.
        names: dict[str, Any] = {name: bindparam(f"new_{name}") for name in values}
        if not execute(update(PendingUpload).where(self._mine).values(**names), parameters(values)):
            raise self._taken_over()
        for name, value in values.items():
            setattr(self.upload, name, value)

    def begin_again(self, quota: Quota | None) -> bool:
        """Make a removed upload pending; False if that would exceed the quota.

        :raises UploadBusy: if another request has taken over.
        """
        upload, row = self.upload, self._mine
        if quota is not None:
            lock_quota(quota, upload.uploader)
            row = and_(row, quota.has_room(upload.uploader, upload.size_in_bytes))
        is_pending = execute(update(PendingUpload).where(row).values(state=UploadState.OPENING))
        if is_pending:
            upload.state = UploadState.OPENING
        else:
            self.check()
        return is_pending

    def record_urls(self, expire_at: datetime, *, pinned: bool, some_pinned: bool = False) -> None:
        """Record, before URLs are handed out, when the last one ends and if any is not pinned.

        :param some_pinned: whether some may be, although others are not.
        :raises UploadBusy: if another request has taken over; then they must not be handed out.
        """
        # By the database: URLs of parts are recorded meanwhile by requests without a lease.
        values: dict[str, Any] = {"urls_expire_at": latest(PendingUpload.urls_expire_at, expire_at)}
        if (pinned or some_pinned) and self.upload.part_bytes is None:
            values["pinned_until"] = latest(PendingUpload.pinned_until, expire_at)
        values["pinned"] = self.upload.pinned and pinned
        if not execute(update(PendingUpload).where(self._mine).values(**values)):
            raise self._taken_over()
        known = self.upload.urls_expire_at_utc
        self.upload.urls_expire_at = expire_at if known is None else max(known, expire_at)
        self.upload.pinned = values["pinned"]

    def retire(self) -> None:
        """Keep the row as removed while a URL can still write, or else delete it.

        :raises UploadBusy: if another request has taken over.
        """
        # From then on, no URLs of parts are handed out.
        self.update(state=UploadState.REMOVED)
        if not refetch(self.upload).urls_live:
            self.delete()

    def delete(self) -> None:
        """Delete the row, its manifest, and the rows of its items in parts.

        :raises UploadBusy: if another request has taken over.
        """
        row = self.upload
        then = [delete(AnnouncedManifest).where(AnnouncedManifest.pending_upload_id == row.id)]
        if row.part_bytes is not None:
            then.append(delete(ItemInParts).where(ItemInParts.pending_upload_id == row.id))
        if not execute(delete(PendingUpload).where(self._mine), then=then):
            raise self._taken_over()

    def _taken_over(self) -> UploadBusy:
        # Not the row's UUID: the row may have been deleted.
        return UploadBusy(self._uuid, int(LEASE))

    def release(self) -> None:
        """Release the lease, if it is still held."""
        values = {"lease": None, "lease_ends": None, **self._progress}
        execute(update(PendingUpload).where(self._mine).values(values))


@contextmanager
def leased(
    upload: PendingUpload, *, active: bool = False, removal: bool = False
) -> Iterator[Lease]:
    """Hold the lease of an upload while the block runs.

    :param active: whether this counts as activity of a user.
    :param removal: whether no URLs of parts are handed out meanwhile, which needs no lease.
    :raises UploadBusy: if another request holds it.
    :raises UploadGone: if the row is gone.
    """
    lease = Lease(sql_db.engine, upload.id, upload.uuid, removal=removal)
    if not lease.take(active=active):
        refetch(upload)
        raise UploadBusy(upload.uuid, int(LEASE))
    done = threading.Event()
    # In the same context, which holds the time limit of database statements and the request ID.
    run = partial(copy_context().run, _heartbeat, lease, done)
    heartbeat = threading.Thread(target=run, name=_heartbeat.__name__, daemon=True)
    heartbeat.start()
    try:
        lease.upload = refetch(upload)
        yield lease
    finally:
        done.set()
        heartbeat.join()
        sql_db.session.rollback()
        lease.release()


def _heartbeat(lease: Lease, done: threading.Event) -> None:
    while not done.wait(RENEWAL):
        try:
            if not lease.renew():
                return
        except SQLAlchemyError as error:
            # The next heartbeat may succeed; if none does, the lease ends, and check() raises.
            kind = type(error).__name__
            logger.warning("A lease could not be renewed: %s%s", kind, request_ids.suffix())


def _affected(connection: Connection, statement: Any) -> bool:
    return connection.execute(statement).rowcount == 1
