"""Create the tables of datasets, their tags and their words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0001"
down_revision = None

DATASET, TAG, TEXT = "sql_index_dataset", "sql_index_tag", "sql_index_text"


def upgrade() -> None:
    """Create the tables that do not exist."""
    op.create_table(
        DATASET,
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uri", sa.String(1024), nullable=False),
        sa.Column("base_uri", sa.String(1024), nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("creator_username", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(), nullable=False),
        sa.Column("number_of_items", sa.Integer(), nullable=False),
        sa.Column("size_in_bytes", sa.BigInteger(), nullable=False),
        sa.Column("other_json", sa.Text(), nullable=False),
        sa.Column("tags_json", sa.Text(), nullable=False),
        sa.Column("annotations_json", sa.Text(), nullable=False),
        sa.Column("readme_json", sa.Text(), nullable=False),
        sa.Column("manifest_json", sa.Text(), nullable=False),
        if_not_exists=True,
    )
    op.create_index(f"ix_{DATASET}_uri", DATASET, ["uri"], unique=True, if_not_exists=True)
    op.create_index(f"ix_{DATASET}_base_uri", DATASET, ["base_uri"], if_not_exists=True)
    op.create_index(f"ix_{DATASET}_uuid", DATASET, ["uuid"], if_not_exists=True)
    op.create_table(
        TAG,
        sa.Column("dataset_id", sa.Integer(), sa.ForeignKey(f"{DATASET}.id"), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        if_not_exists=True,
    )
    op.create_index(f"ix_{TAG}_digest", TAG, ["digest"], if_not_exists=True)
    words = sa.Text().with_variant(TSVECTOR(), "postgresql")
    op.create_table(
        TEXT,
        sa.Column("dataset_id", sa.Integer(), sa.ForeignKey(f"{DATASET}.id"), primary_key=True),
        sa.Column("field", sa.String(16), primary_key=True),
        sa.Column("part", sa.Integer(), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("words", words),
        if_not_exists=True,
    )
    op.create_index(f"ix_{TEXT}_words", TEXT, ["words"], postgresql_using="gin", if_not_exists=True)


def downgrade() -> None:
    """Drop the tables: dserver's own `flask base_uri index` fills new ones."""
    for table in (TEXT, TAG, DATASET):
        op.drop_table(table, if_exists=True)
