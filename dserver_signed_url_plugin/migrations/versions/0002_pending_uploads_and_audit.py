"""Create the tables of this plugin: pending uploads, and the audit of who received which URLs."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from flask import current_app

from dserver_signed_url_plugin import tables
from dserver_signed_url_plugin.config import Settings

revision = "0002"
down_revision = "0001"

# The columns required by the specification, except the one that may be null.
REQUIRED_UPLOAD_COLUMNS = (
    "uuid",
    "uri",
    "base_uri",
    "name",
    "creator_username",
    "created_at",
    "manifest_json",
)
REQUIRED_AUDIT_COLUMNS = ("id", "time", "username", "action", "uri", "outcome")


def upgrade() -> None:
    """Create both tables, or convert tables that another implementation has created."""
    upload_columns = [column.name for column in _upload_columns()]
    if not _exists("pending_upload"):
        _create_pending_upload()
    elif tables.missing_columns("pending_upload", upload_columns, REQUIRED_UPLOAD_COLUMNS):
        tables.rebuild("pending_upload", _create_pending_upload, _convert)
    if not _exists("signed_url_audit"):
        op.create_table("signed_url_audit", *_audit_columns(), if_not_exists=True)
    else:
        columns = {column.name: column for column in _audit_columns()}
        missing = tables.missing_columns("signed_url_audit", columns, REQUIRED_AUDIT_COLUMNS)
        for name in sorted(missing):
            op.add_column("signed_url_audit", columns[name])
    for name in ("time", "uri"):
        index = op.f(f"ix_signed_url_audit_{name}")
        op.create_index(index, "signed_url_audit", [name], if_not_exists=True)


def downgrade() -> None:
    """Drop both tables; what pending uploads have in storage is kept."""
    op.drop_table("signed_url_audit", if_exists=True)
    op.drop_table("pending_upload", if_exists=True)


def _exists(name: str) -> bool:
    """Return whether the database has a table; False if SQL is printed instead of run."""
    return not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(name)


def _upload_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("base_uri", sa.String(1024), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("creator_username", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frozen_at", sa.Double()),
        sa.Column("manifest_json", sa.Text(), nullable=False),
        sa.Column("number_of_items", sa.Integer(), nullable=False),
        sa.Column("size_in_bytes", sa.BigInteger()),
        sa.Column("descriptions_json", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("uploader", sa.String(255), nullable=False),
        sa.Column("staging", sa.String(32), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("urls_expire_at", sa.DateTime(timezone=True)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("lease_ends", sa.Double()),
    ]


def _audit_columns() -> list[sa.Column[Any]]:
    return [
        # SQLite generates values only for primary keys of the type INTEGER.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("items", sa.Integer()),
        sa.Column("size_in_bytes", sa.BigInteger()),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
    ]


def _create_pending_upload(extra_columns: Sequence[sa.Column[Any]] = ()) -> None:
    columns = _upload_columns()
    names = {column.name for column in columns}
    op.create_table(
        "pending_upload",
        *columns,
        *(column for column in extra_columns if column.name not in names),
        sa.UniqueConstraint("uuid", name="uq_pending_upload_uuid"),
        sa.CheckConstraint(
            "state IN ('opening', 'open', 'frozen', 'removed')", name="ck_pending_upload_state"
        ),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )


# Conversion of uploads of another implementation --------------------------------------------


def _convert(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for this plugin, made from one of another implementation.

    Its items are expected at the keys of a frozen dataset.

    :raises CommandError: if its times or its manifest cannot be read.
    """
    try:
        return _default_values(row) | _converted_values(row)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CommandError(
            f"The upload {row['uuid']} of the table pending_upload cannot be taken over: its times "
            "or its manifest cannot be read. Delete or correct the row, and run the upgrade again."
        ) from error


def _converted_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the row, in the formats of this plugin."""
    values = {name: value for name, value in row.items() if value is not None and name != "id"}
    texts = {name: str(row[name]) for name in ("uuid", "uri", "base_uri", "name")}
    times = {"created_at": _utc(row["created_at"]), "frozen_at": _seconds(row.get("frozen_at"))}
    return values | texts | times | {"manifest_json": json.dumps({"items": _items(row)})}


def _default_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for the columns that the specification does not have."""
    items = _items(row).values()
    sizes = [item["size_in_bytes"] for item in items]
    # Assumes that the server that began the upload had the same setting.
    expiry = timedelta(seconds=Settings.load(current_app.config, os.environ).write_expiry)
    return {
        "number_of_items": len(items),
        "size_in_bytes": sum(sizes) if None not in sizes else None,
        "descriptions_json": json.dumps({"tags": [], "annotations": {}}),
        # Matches no announcement, so the upload cannot be begun again.
        "fingerprint": "",
        "uploader": row["creator_username"],
        "staging": secrets.token_hex(16),
        "pinned": False,
        "urls_expire_at": _utc(row["created_at"]) + expiry,
        "state": "open",
        "lease": None,
        "lease_ends": None,
    }


def _items(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the items of a row's manifest, by identifier."""
    content = row["manifest_json"]
    manifest = json.loads(content) if isinstance(content, str) else content
    return {
        identifier: {
            "relpath": "" + entry["relpath"],
            "size_in_bytes": entry.get("size_in_bytes"),
            "hash": entry.get("hash"),
            "utc_timestamp": entry.get("utc_timestamp"),
        }
        for identifier, entry in manifest.get("items", {}).items()
    }


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc)


def _seconds(moment: Any) -> float | None:
    """Return a time as a Unix timestamp (seconds, UTC), the format of the specification."""
    if isinstance(moment, datetime):
        return _utc(moment).timestamp()
    return None if moment is None else float(moment)
