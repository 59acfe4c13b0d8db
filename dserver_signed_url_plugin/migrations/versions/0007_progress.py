"""Add to pending uploads how many items a completion has in place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TABLE, COLUMN = "pending_upload", "items_done"


def upgrade() -> None:
    """Add the column, unless it exists."""
    if COLUMN not in _columns():
        op.add_column(TABLE, sa.Column(COLUMN, sa.Integer()))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column(TABLE, COLUMN)


def _columns() -> set[str]:
    """Return the names of the existing columns; none if SQL is printed instead of run."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(TABLE)}
