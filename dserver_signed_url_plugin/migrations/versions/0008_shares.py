"""Create the table of shares, and add to the audit which share a request was about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TABLE = "signed_url_share"
AUDIT, COLUMN = "signed_url_audit", "share"
AUDIT_INDEX = "ix_signed_url_audit_share"
INDEXES = (
    ("token_hash", ("token_hash",)),
    ("uri", ("uri",)),
    ("owner", ("owner", "created_at", "id")),
    ("owner_id", ("owner_id",)),
    ("created_at", ("created_at", "id")),
    ("ends_at", ("ends_at",)),
    ("ended_at", ("ended_at",)),
)


def upgrade() -> None:
    """Create the table, the column and the indexes that do not exist."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("base_uri", sa.String(1024), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("owner_id", sa.Integer()),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_because", sa.String(16)),
        sa.Column("max_downloads", sa.Integer()),
        sa.Column("downloads", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("number_of_items", sa.Integer(), nullable=False),
        sa.Column("size_in_bytes", sa.BigInteger()),
        sa.Column("identifiers", sa.LargeBinary()),
        if_not_exists=True,
    )
    for name, columns in INDEXES:
        index, is_unique = f"ix_{TABLE}_{name}", name == "token_hash"
        op.create_index(index, TABLE, list(columns), unique=is_unique, if_not_exists=True)
    if COLUMN not in _columns():
        op.add_column(AUDIT, sa.Column(COLUMN, sa.String(16)))
    op.create_index(AUDIT_INDEX, AUDIT, [COLUMN, "id"], if_not_exists=True)


def downgrade() -> None:
    """Drop the column and the table: no link works any more."""
    # Without the column, these would be taken for decisions of `flask temp_share create`.
    op.execute(
        f"UPDATE {AUDIT} SET action = 'share-link-create' "  # noqa: S608 (constants)
        f"WHERE action = 'share-create' AND {COLUMN} IS NOT NULL"
    )
    op.drop_index(AUDIT_INDEX, AUDIT, if_exists=True)
    op.drop_column(AUDIT, COLUMN)
    op.drop_table(TABLE, if_exists=True)


def _columns() -> set[str]:
    """Return the names of the audit's existing columns; none if SQL is printed instead of run."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(AUDIT)}
