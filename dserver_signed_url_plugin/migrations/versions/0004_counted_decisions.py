"""Add to the audit the base URI and the count of refused requests, and indexes to search by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLE = "signed_url_audit"
UPLOADER = "ix_pending_upload_uploader"
BASE_URI, TALLY = "ix_signed_url_audit_base_uri", "ix_signed_url_audit_tally"
# The function that returns the position of a substring; `instr` in other databases.
POSITION = {"postgresql": "strpos"}
ADDED = ("base_uri", "requests", "tally")


def upgrade() -> None:
    """Add the columns and indexes that do not exist, and set the base URI of existing rows."""
    existing = _columns()
    for column in (
        sa.Column("base_uri", sa.String(1024), nullable=False, server_default=""),
        sa.Column("requests", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("tally", sa.String(64)),
    ):
        if column.name not in existing:
            op.add_column(TABLE, column)
    position = POSITION.get(op.get_context().dialect.name, "instr")
    # With other schemes, a dataset URI ends in a slash and a UUID; the rest are base URIs.
    op.execute(
        f"UPDATE {TABLE} SET base_uri = CASE "  # noqa: S608 (constants)
        f"WHEN uri LIKE 's3://%/%' THEN substr(uri, 1, 4 + {position}(substr(uri, 6), '/')) "
        f"WHEN uri LIKE 'azure://%/%' THEN substr(uri, 1, 7 + {position}(substr(uri, 9), '/')) "
        "WHEN uri LIKE '%/________-____-____-____-____________' "
        "THEN substr(uri, 1, length(uri) - 37) "
        "ELSE uri END WHERE base_uri = ''"
    )
    op.create_index(UPLOADER, "pending_upload", ["uploader"], if_not_exists=True)
    op.create_index(BASE_URI, TABLE, ["base_uri", "id"], if_not_exists=True)
    op.create_index(TALLY, TABLE, ["tally"], unique=True, if_not_exists=True)


def downgrade() -> None:
    """Drop the columns and indexes."""
    op.drop_index(UPLOADER, "pending_upload", if_exists=True)
    op.drop_index(TALLY, TABLE, if_exists=True)
    op.drop_index(BASE_URI, TABLE, if_exists=True)
    for name in ADDED:
        op.drop_column(TABLE, name)


def _columns() -> set[str]:
    """Return the names of the existing columns; none if SQL is printed instead of run."""
    if op.get_context().as_sql:
        return set()
    return {str(column["name"]) for column in sa.inspect(op.get_bind()).get_columns(TABLE)}
