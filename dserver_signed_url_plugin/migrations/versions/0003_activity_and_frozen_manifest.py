"""Add to pending uploads the time of the last activity, and the manifest of the frozen dataset."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"

TABLE = "pending_upload"


def upgrade() -> None:
    """Add the columns that do not exist; existing rows were last active when they were created."""
    for column in (
        sa.Column("last_active_at", sa.DateTime(timezone=True)),
        sa.Column("frozen_manifest_json", sa.Text()),
    ):
        if column.name not in _columns():
            op.add_column(TABLE, column)
    op.execute(
        f"UPDATE {TABLE} SET last_active_at = created_at WHERE last_active_at IS NULL"  # noqa: S608 (a constant)
    )


def downgrade() -> None:
    """Drop both columns."""
    for name in ("frozen_manifest_json", "last_active_at"):
        op.drop_column(TABLE, name)


def _columns() -> set[str]:
    """Return the names of the existing columns; none if SQL is printed instead of run."""
    if context.is_offline_mode():
        return set()
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(TABLE)}
