"""Repository for the tables ``item_in_parts`` and ``dataset_in_parts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from dservercore import sql_db
from sqlalchemy import and_, bindparam, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from dserver_signed_url_plugin.uploads.models import (
    DatasetInParts,
    ItemInParts,
    PendingUpload,
    UploadState,
)
from dserver_signed_url_plugin.uploads.repository import UploadGone, execute
from dserver_signed_url_plugin.uris import DatasetURI

_UUID_LENGTH = 36
_IS_PENDING = ItemInParts.pending_upload_id.in_(select(PendingUpload.id))


def find(upload: PendingUpload, identifier: str) -> ItemInParts | None:
    """Return what is known of the parts of one item, or None if none were begun."""
    statement = select(ItemInParts).where(_of(upload), ItemInParts.identifier == identifier)
    return next(iter(_copies(statement)), None)


def of(upload: PendingUpload) -> Mapping[str, ItemInParts]:
    """Return the items of an upload whose parts were begun, by identifier."""
    if upload.part_bytes is None:
        return {}
    return {row.identifier: row for row in _copies(select(ItemInParts).where(_of(upload)))}


def claim(upload: PendingUpload, identifier: str, upload_id: str) -> str:
    """Keep the upload ID of an item, unless one is kept; return the one that is.

    :raises UploadGone: if the upload is not open any more.
    """
    values = {
        "pending_upload_id": upload.id,
        "identifier": identifier,
        "upload_id": upload_id,
        "created_at": datetime.now(timezone.utc),
    }
    columns = ItemInParts.__table__.c
    row = select(*(bindparam(f"new_{name}", type_=columns[name].type) for name in values))
    is_open = and_(PendingUpload.id == upload.id, PendingUpload.state == UploadState.OPEN)
    row = row.where(exists(select(PendingUpload.id).where(is_open)))
    statement = insert(ItemInParts.__table__).from_select(list(values), row)
    try:
        if execute(statement, {f"new_{name}": value for name, value in values.items()}):
            return upload_id
    except IntegrityError:
        sql_db.session.rollback()
    kept = find(upload, identifier)
    if kept is None:
        raise UploadGone
    return kept.upload_id


def forget(upload: PendingUpload, identifier: str, upload_id: str) -> None:
    """Delete the upload ID of an item, unless another one is kept by now."""
    row = and_(_of(upload), ItemInParts.identifier == identifier)
    execute(delete(ItemInParts).where(row, ItemInParts.upload_id == upload_id))


def note_assembly(upload: PendingUpload, assembled: Mapping[str, str]) -> None:
    """Note that items are about to be assembled.

    :param assembled: by identifier, ``assembled_md5``.
    """
    table = ItemInParts.__table__
    row = and_(table.c.pending_upload_id == upload.id, table.c.identifier == bindparam("item"))
    statement = update(table).where(row).values(assembled_md5=bindparam("md5"))
    rows = [{"item": identifier, "md5": md5} for identifier, md5 in assembled.items()]
    sql_db.session.connection().execute(statement, rows)
    sql_db.session.commit()


def note_dataset(uri: DatasetURI, *, in_parts: bool) -> None:
    """Note whether a dataset that is about to be frozen has items in parts."""
    if not in_parts:
        forget_dataset(str(uri))
        sql_db.session.commit()
        return
    known = select(DatasetInParts.id).where(_is(uri.uuid, str(uri)))
    columns = DatasetInParts.__table__.c
    values = (bindparam(f"new_{name}", type_=columns[name].type) for name in ("uuid", "uri"))
    row = select(*values).where(~exists(known))
    statement = insert(DatasetInParts.__table__).from_select(["uuid", "uri"], row)
    execute(statement, {"new_uuid": uri.uuid, "new_uri": str(uri)})


def is_in_parts(uri: DatasetURI) -> bool:
    """Return whether a dataset that this server has frozen has items in parts."""
    statement = select(exists(select(DatasetInParts.id).where(_is(uri.uuid, str(uri)))))
    found = bool(sql_db.session.scalar(statement))
    sql_db.session.rollback()
    return found


def forget_dataset(uri: str) -> None:
    """Delete what is known of a dataset, without a commit."""
    known = _is(uri[-_UUID_LENGTH:], uri)
    sql_db.session.execute(delete(DatasetInParts.__table__).where(known))


def upload_ids() -> set[str]:
    """Return all upload IDs of pending uploads, also of removed ones."""
    statement = select(ItemInParts.upload_id).where(_IS_PENDING)
    found = set(sql_db.session.scalars(statement))
    sql_db.session.rollback()
    return found


def forget_orphans() -> None:
    """Delete what requests have left that ended while their upload was deleted."""
    execute(delete(ItemInParts).where(~_IS_PENDING))


def _of(upload: PendingUpload) -> Any:
    return ItemInParts.pending_upload_id == upload.id


def _is(uuid: str, uri: str) -> Any:
    return and_(DatasetInParts.uuid == uuid, DatasetInParts.uri == uri)


def _copies(statement: Any) -> Sequence[ItemInParts]:
    options = {"populate_existing": True}
    found = list(sql_db.session.scalars(statement, execution_options=options))
    sql_db.session.expunge_all()
    sql_db.session.rollback()
    return found
