"""Keep announced manifests in a table of their own; rows that there are keep theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table, unless it exists."""
    op.create_table(
        "announced_manifest",
        sa.Column("pending_upload_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("manifest_json", sa.Text(), nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Move the manifests back, and drop the table."""
    op.execute(
        "UPDATE pending_upload SET manifest_json = (SELECT announced_manifest.manifest_json "
        "FROM announced_manifest WHERE pending_upload_id = pending_upload.id) "
        "WHERE id IN (SELECT pending_upload_id FROM announced_manifest)"
    )
    op.drop_table("announced_manifest", if_exists=True)
