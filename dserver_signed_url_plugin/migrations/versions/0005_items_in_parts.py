"""Add what is known of items in parts: their part size, their parts in the store, and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ADDED: Sequence[tuple[str, str, sa.types.TypeEngine[Any]]] = (
    ("pending_upload", "part_bytes", sa.BigInteger()),
    ("pending_upload", "pinned_until", sa.DateTime(timezone=True)),
    ("signed_url_audit", "verified", sa.String(8)),
)
DATASET_UUID = "ix_dataset_in_parts_uuid"


def upgrade() -> None:
    """Add the columns, tables and the index that do not exist."""
    for table, name, kind in ADDED:
        if name not in _columns(table):
            op.add_column(table, sa.Column(name, kind))
    # URLs of existing uploads may be pinned, and they are not in parts.
    op.execute(
        "UPDATE pending_upload SET pinned_until = urls_expire_at "
        "WHERE pinned_until IS NULL AND part_bytes IS NULL"
    )
    op.create_table(
        "item_in_parts",
        sa.Column("pending_upload_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("identifier", sa.String(40), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assembled_md5", sa.String(64)),
        sa.PrimaryKeyConstraint("pending_upload_id", "identifier"),
        if_not_exists=True,
    )
    op.create_table(
        "dataset_in_parts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("uri", sa.String(1024), nullable=False),
        if_not_exists=True,
    )
    op.create_index(DATASET_UUID, "dataset_in_parts", ["uuid"], if_not_exists=True)


def downgrade() -> None:
    """Drop the columns and tables; parts of pending uploads stay in storage."""
    op.drop_table("dataset_in_parts", if_exists=True)
    op.drop_table("item_in_parts", if_exists=True)
    for table, name, _ in ADDED:
        op.drop_column(table, name)


def _columns(table: str) -> set[str]:
    """Return the names of the existing columns; none if SQL is printed instead of run."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(table)}
