"""Add to the audit the login and the host of whoever ran a command at dserver's shell."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TABLE, INDEX = "signed_url_audit", "ix_signed_url_audit_operator"
ADDED = {"operator": 255, "host": 64}
COMMANDS = sa.text("operator IS NOT NULL")


def upgrade() -> None:
    """Add the columns and the index that do not exist."""
    existing = _columns()
    for name, length in ADDED.items():
        if name not in existing:
            op.add_column(TABLE, sa.Column(name, sa.String(length)))
    op.create_index(
        INDEX,
        TABLE,
        ["action", "base_uri", "outcome", "id"],
        postgresql_where=COMMANDS,
        sqlite_where=COMMANDS,
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop the columns and the index; what operators did stays, without who they were."""
    op.drop_index(INDEX, TABLE, if_exists=True)
    for name in ADDED:
        op.drop_column(TABLE, name)


def _columns() -> set[str]:
    """Return the names of the existing columns; none if SQL is printed instead of run."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(TABLE)}
