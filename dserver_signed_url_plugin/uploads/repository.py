"""Repository for the ``pending_upload`` table.

One statement and one commit each, so that workers, threads and servers agree on who does what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from dservercore import sql_db
from sqlalchemy import (
    JSON,
    Case,
    ColumnElement,
    Connection,
    Insert,
    SQLColumnExpression,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError

from dserver_signed_url_plugin.errors import UploadBusy
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.values import Item
from dserver_signed_url_plugin.uploads.models import AnnouncedManifest, PendingUpload, UploadState
from dserver_signed_url_plugin.uploads.quotas import Quota

_CLAIMS = 5
# How the token of a lease begins under which an upload is removed.
REMOVAL = "removal-"

# Rows from before the other table existed have the manifest themselves.
_WITH_MANIFEST = PendingUpload.__table__.outerjoin(
    AnnouncedManifest.__table__, AnnouncedManifest.pending_upload_id == PendingUpload.id
)
_ANNOUNCED = func.coalesce(AnnouncedManifest.manifest_json, PendingUpload.manifest_json)
_LAST_ACTIVE = func.coalesce(PendingUpload.last_active_at, PendingUpload.created_at)


_MANIFEST_INSERTION = insert(AnnouncedManifest.__table__).from_select(
    ["pending_upload_id", "manifest_json"],
    select(PendingUpload.id, bindparam("new_manifest_json", type_=Text)).where(
        PendingUpload.uuid == bindparam("new_uuid"),
        PendingUpload.staging == bindparam("new_staging"),
    ),
)


class UploadGone(Exception):
    """The upload was completed or removed while this request was working."""


def find(uuid: str) -> PendingUpload | None:
    """Return the pending upload of this UUID as the database has it now, or None.

    It is detached from the session, and has no manifest, which may be megabytes; see announced().
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

    :raises UploadGone: if it was completed or removed meanwhile.
    """
    now = find(upload.uuid)
    if now is None or now.id != upload.id:
        raise UploadGone
    return now


def announced(upload: PendingUpload) -> tuple[Manifest, dict[str, Any]]:
    """Return the manifest of an upload as it was announced, and its tags and annotations.

    :raises UploadGone: if it was completed or removed meanwhile.
    """
    return _documents(upload, _ANNOUNCED)


def frozen(upload: PendingUpload) -> tuple[Manifest, dict[str, Any]]:
    """Return the manifest with which an upload was frozen, and its tags and annotations.

    :raises UploadGone: if it was completed or removed meanwhile.
    """
    # Rows frozen before this column existed have it in the place of the announced one.
    kept = func.coalesce(PendingUpload.frozen_manifest_json, _ANNOUNCED)
    return _documents(upload, kept)


def announced_item(upload: PendingUpload, identifier: str) -> Item | None:
    """Return one item as it was announced, or None; the database reads the manifest."""
    document: Any = _ANNOUNCED
    is_sqlite = sql_db.engine.dialect.name == "sqlite"
    # In SQLite, JSON is a text, and no type to which a text could be cast.
    document = type_coerce(document, JSON) if is_sqlite else cast(document, JSON)
    entry = document[("items", identifier)]
    statement = select(entry).select_from(_WITH_MANIFEST).where(PendingUpload.id == upload.id)
    found = sql_db.session.scalar(statement)
    sql_db.session.rollback()
    return found and Manifest.from_dict({"items": {identifier: found}}).items[identifier]


def describe(upload: PendingUpload, manifest: Manifest) -> None:
    """Replace the announced manifest by one with sizes and hashes that were not known before.

    The fingerprint stays, by which storage knows the upload.
    """
    row = AnnouncedManifest.pending_upload_id == upload.id
    # With a parameter, because SQLAlchemy caches statements.
    statement = update(AnnouncedManifest).where(row).values(manifest_json=bindparam("new_manifest"))
    execute(statement, {"new_manifest": manifest.to_json()})


def extend_urls(upload: PendingUpload, expire_at: datetime) -> bool:
    """Record that URLs are handed out without a lease.

    :param expire_at: when they end (UTC).
    :return: False if the upload is not open any more, or is being removed.
    """
    now = database_time(sql_db.session.connection())
    is_open = and_(
        PendingUpload.id == upload.id,
        PendingUpload.state == UploadState.OPEN,
        or_(
            PendingUpload.lease.is_(None),
            PendingUpload.lease.not_like(f"{REMOVAL}%"),
            PendingUpload.lease_ends < now,
        ),
    )
    statement = update(PendingUpload).values(
        urls_expire_at=latest(PendingUpload.urls_expire_at, expire_at),
        last_active_at=datetime.now(timezone.utc),
    )
    return execute(statement.where(is_open))


def database_time(connection: Connection) -> float:
    """Return the database's time, in seconds since 1970 UTC, because servers' clocks differ."""
    now: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return now.replace(tzinfo=now.tzinfo or timezone.utc).timestamp()


def latest(column: Any, moment: datetime) -> Case[Any]:
    """Return the later of a column, which may be null, and a moment."""
    later = literal(moment, column.type)
    return case((or_(column.is_(None), column < later), later), else_=column)


def claim(uuid: str, quota: Quota | None = None, **values: Any) -> PendingUpload:
    """Insert a row for the UUID, unless there is one; return the row that there is.

    :param quota: what the uploader may have pending; checked if a row is inserted.
    :param values: by name of the column.
    :raises TooMuchPending: if the quota is used up.
    :raises UploadBusy: if other requests insert and delete rows of this UUID.
    """
    is_tried = False
    for _ in range(_CLAIMS):
        held = find(uuid)
        if held is not None:
            return held
        if is_tried and quota is not None:
            raise quota.refusal(values["uploader"], values["size_in_bytes"])
        try:
            # Not every driver returns how many rows were inserted.
            row = {"uuid": uuid, "last_active_at": values["created_at"], **values}
            manifest, row["manifest_json"] = row["manifest_json"], ""
            lock_quota(quota, values["uploader"])
            sql_db.session.execute(_insertion(quota, row), parameters(row))
            # Only of a row that this request has inserted, which nobody else's staging names.
            inserted = {"uuid": uuid, "staging": row["staging"], "manifest_json": manifest}
            execute(_MANIFEST_INSERTION, parameters(inserted))
            is_tried = True
        except IntegrityError:
            sql_db.session.rollback()
    raise UploadBusy(uuid)


def listed(idle_since: datetime | None = None) -> list[PendingUpload]:
    """Return the pending uploads, oldest first.

    :param idle_since: only those without activity since then (UTC).
    """
    waiting = PendingUpload.state != UploadState.REMOVED
    if idle_since is None:
        return _copies(waiting)
    return _copies(and_(waiting, idle_since > _LAST_ACTIVE))


def removed() -> list[PendingUpload]:
    """Return the removed uploads, which are kept while their URLs work."""
    return _copies(PendingUpload.state == UploadState.REMOVED)


def find_identical(uploader: str, base_uri: str, fingerprint: str) -> PendingUpload | None:
    """Return the first of the pending uploads with the same announcement, or None."""
    found = _copies(
        and_(
            PendingUpload.uploader == uploader,
            PendingUpload.base_uri == base_uri,
            PendingUpload.fingerprint == fingerprint,
            PendingUpload.state != UploadState.REMOVED,
        )
    )
    return min(found, key=lambda upload: upload.id, default=None)


def lock_quota(quota: Quota | None, uploader: str) -> None:
    """Lock one uploader's quota in PostgreSQL until the transaction ends.

    SQLite allows one writer at a time anyway.
    """
    is_shared = sql_db.engine.dialect.name == "postgresql"
    if is_shared and quota is not None and quota.size_in_bytes is not None:
        sql_db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(uploader))))


def _insertion(quota: Quota | None, values: Mapping[str, Any]) -> Insert:
    """Return the statement that inserts these values, if the quota allows."""
    columns = PendingUpload.__table__.c
    # With parameters, because SQLAlchemy caches statements and a manifest may be megabytes.
    row = select(*(bindparam(f"new_{name}", type_=columns[name].type) for name in values))
    if quota is not None:
        row = row.where(quota.has_room(values["uploader"], values["size_in_bytes"]))
    return insert(PendingUpload.__table__).from_select(list(values), row)


def parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values under the names of the parameters that statements here use."""
    return {f"new_{name}": value for name, value in values.items()}


def _documents(
    upload: PendingUpload, manifest: SQLColumnExpression[str]
) -> tuple[Manifest, dict[str, Any]]:
    columns = select(manifest, PendingUpload.descriptions_json).select_from(_WITH_MANIFEST)
    row = sql_db.session.execute(columns.where(PendingUpload.id == upload.id)).one_or_none()
    sql_db.session.rollback()
    if row is None:
        raise UploadGone
    return Manifest.from_json(row[0]), json.loads(row[1])


def _copies(where: ColumnElement[bool]) -> list[PendingUpload]:
    statement = select(PendingUpload).where(where).order_by(PendingUpload.created_at)
    found = list(sql_db.session.scalars(statement))
    sql_db.session.expunge_all()
    sql_db.session.rollback()
    return found


def execute(
    statement: Any, values: Mapping[str, Any] | None = None, *, then: Sequence[Any] = ()
) -> bool:
    """Run one statement and commit; return whether it affected a row.

    :param then: other statements of the same transaction, run if the first affected a row.
    """
    options = {"synchronize_session": False}
    result = sql_db.session.execute(statement, values, execution_options=options)
    is_affected = bool(result.rowcount)
    for following in then if is_affected else ():
        sql_db.session.execute(following, execution_options=options)
    sql_db.session.commit()
    return is_affected
