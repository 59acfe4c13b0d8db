"""dserver's own tables, as of dservercore 0.22, as far as they are missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INDEXES = {
    "user": {"username": True},
    "base_uri": {"base_uri": True},
    "dataset": {"uri": True, "uuid": False, "name": False, "creator_username": False},
}


def upgrade() -> None:
    """Create people, base URIs, permissions and the register."""
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("username", sa.String(64)),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "base_uri",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("base_uri", sa.String(255)),
        if_not_exists=True,
    )
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("base_uri_id", sa.Integer(), sa.ForeignKey("base_uri.id"), nullable=False),
        sa.Column("uri", sa.String(255), nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("creator_username", sa.String(255), nullable=False),
        sa.Column("frozen_at", sa.DateTime(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("number_of_items", sa.Integer()),
        sa.Column("size_in_bytes", sa.BigInteger()),
        if_not_exists=True,
    )
    for name in ("search_permissions", "register_permissions"):
        op.create_table(
            name,
            sa.Column("user_id", sa.Integer(), sa.ForeignKey("user.id"), primary_key=True),
            sa.Column("base_uri_id", sa.Integer(), sa.ForeignKey("base_uri.id"), primary_key=True),
            if_not_exists=True,
        )
    for table, columns in INDEXES.items():
        for column, unique in columns.items():
            name = op.f(f"ix_{table}_{column}")
            op.create_index(name, table, [column], unique=unique, if_not_exists=True)


def downgrade() -> None:
    """Leave everything: people, permissions and the register are dserver's, not this plugin's."""
