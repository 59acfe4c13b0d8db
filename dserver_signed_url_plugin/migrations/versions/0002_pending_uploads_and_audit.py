"""The plugin's tables: pending uploads, and who was given which URLs."""

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

# The fields of the table that the specification names, without the one that may be null.
SPECIFIED = ("uuid", "uri", "base_uri", "name", "creator_username", "created_at", "manifest_json")
DECIDED = ("id", "time", "username", "action", "uri", "outcome")


def upgrade() -> None:
    """Create both; give one that somebody else has made what it lacks."""
    if not _is_there("pending_upload"):
        _create_pending_upload()
    elif tables.lacking("pending_upload", [each.name for each in _upload_columns()], SPECIFIED):
        tables.rebuild("pending_upload", _create_pending_upload, _completed)
    if not _is_there("signed_url_audit"):
        op.create_table("signed_url_audit", *_audit_columns(), if_not_exists=True)
    else:
        columns = {column.name: column for column in _audit_columns()}
        for name in sorted(tables.lacking("signed_url_audit", columns, DECIDED)):
            op.add_column("signed_url_audit", columns[name])
    for name in ("time", "uri"):
        index = op.f(f"ix_signed_url_audit_{name}")
        op.create_index(index, "signed_url_audit", [name], if_not_exists=True)


def downgrade() -> None:
    """Forget every pending upload, of which storage keeps what it has, and every decision."""
    op.drop_table("signed_url_audit", if_exists=True)
    op.drop_table("pending_upload", if_exists=True)


def _is_there(name: str) -> bool:
    """Tell whether somebody else has made a table; nobody, where statements are written down."""
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
        # SQLite counts by itself only what is called INTEGER.
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


def _create_pending_upload(more: Sequence[sa.Column[Any]] = ()) -> None:
    columns = _upload_columns()
    known = {column.name for column in columns}
    op.create_table(
        "pending_upload",
        *columns,
        *(column for column in more if column.name not in known),
        sa.UniqueConstraint("uuid", name="uq_pending_upload_uuid"),
        sa.CheckConstraint(
            "state IN ('opening', 'open', 'frozen', 'removed')", name="ck_pending_upload_state"
        ),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )


# An upload of another implementation --------------------------------------------------------


def _completed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an upload whose items are to be found, or missed, where datasets have theirs.

    :raises CommandError: if its times or its manifest cannot be read.
    """
    try:
        return _assumed(row) | _read(row)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CommandError(
            f"The upload {row['uuid']} of the table pending_upload cannot be taken over: its times "
            "or its manifest cannot be read. Delete or mend it, and run this again."
        ) from error


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the row says, as this plugin keeps it."""
    kept = {name: value for name, value in row.items() if value is not None and name != "id"}
    texts = {name: str(row[name]) for name in ("uuid", "uri", "base_uri", "name")}
    times = {"created_at": _utc(row["created_at"]), "frozen_at": _seconds(row.get("frozen_at"))}
    return kept | texts | times | {"manifest_json": json.dumps({"items": _items(row)})}


def _assumed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this plugin would have written beside what the specification names."""
    items = _items(row).values()
    sizes = [item["size_in_bytes"] for item in items]
    # It was begun by a server with the same setting.
    lived = timedelta(seconds=Settings.load(current_app.config, os.environ).write_expiry)
    return {
        "number_of_items": len(items),
        "size_in_bytes": sum(sizes) if None not in sizes else None,
        "descriptions_json": json.dumps({"tags": [], "annotations": {}}),
        # Nothing that is announced has this one.
        "fingerprint": "",
        "uploader": row["creator_username"],
        "staging": secrets.token_hex(16),
        "pinned": False,
        "urls_expire_at": _utc(row["created_at"]) + lived,
        "state": "open",
        "lease": None,
        "lease_ends": None,
    }


def _items(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the manifest of a row says of each item."""
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
    """Return a time as seconds since 1970 UTC, as which the specification's clients send it."""
    if isinstance(moment, datetime):
        return _utc(moment).timestamp()
    return None if moment is None else float(moment)
