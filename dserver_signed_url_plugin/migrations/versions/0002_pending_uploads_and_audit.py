"""The plugin's tables: pending uploads, and who was given which URLs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create both, unless a migration of dserver's owner already has."""
    _create_pending_upload()
    _create_signed_url_audit()


def downgrade() -> None:
    """Forget every pending upload, of which storage keeps what it has, and every decision."""
    op.drop_table("signed_url_audit", if_exists=True)
    op.drop_table("pending_upload", if_exists=True)


def _create_pending_upload() -> None:
    op.create_table(
        "pending_upload",
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
        sa.UniqueConstraint("uuid", name="uq_pending_upload_uuid"),
        sa.CheckConstraint(
            "state IN ('opening', 'open', 'frozen', 'removed')", name="ck_pending_upload_state"
        ),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )


def _create_signed_url_audit() -> None:
    op.create_table(
        "signed_url_audit",
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
        if_not_exists=True,
    )
    for column in ("time", "uri"):
        name = op.f(f"ix_signed_url_audit_{column}")
        op.create_index(name, "signed_url_audit", [column], if_not_exists=True)
