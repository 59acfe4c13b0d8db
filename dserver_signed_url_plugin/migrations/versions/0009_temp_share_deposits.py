"""Add the table of what `flask temp_share` has deposited, with what the audit knows of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TABLE = "temp_share_deposit"
UUID_INDEX = "ix_temp_share_deposit_uuid"


def upgrade() -> None:
    """Create the table, unless it exists, and insert the deposits of earlier versions."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_being_deleted", sa.Boolean(), nullable=False),
        if_not_exists=True,
    )
    op.create_index(UUID_INDEX, TABLE, ["uuid"], unique=True, if_not_exists=True)
    # An operator's decision of this action, without a share, is one of `flask temp_share create`.
    op.execute(
        f"INSERT INTO {TABLE} (uuid, uri, created_at, is_being_deleted) "  # noqa: S608 (constants)
        "SELECT substr(uri, length(uri) - 35), min(uri), min(time), false FROM signed_url_audit "
        "WHERE action = 'share-create' AND username = '' AND outcome = 'granted' "
        "AND share IS NULL AND uri IN (SELECT uri FROM dataset) "
        f"AND substr(uri, length(uri) - 35) NOT IN (SELECT uuid FROM {TABLE}) "
        "GROUP BY substr(uri, length(uri) - 35) ORDER BY min(id)"
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TABLE, if_exists=True)
