"""The tables of the index, in dserver's database; whether it is PostgreSQL."""

from __future__ import annotations

from dservercore import sql_db
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

# Not Alembic's default name, which the host may use for a history of its own.
VERSION_TABLE = "alembic_version_sql_index"

# Columns whose names end with _json hold JSON in ASCII: a README, a tag or an annotation may
# contain characters that a database cannot store.
datasets = Table(
    "sql_index_dataset",
    sql_db.metadata,
    Column("id", Integer, primary_key=True),
    Column("uri", String(1024), nullable=False),
    Column("base_uri", String(1024), nullable=False),
    Column("uuid", String(36), nullable=False),
    Column("name", Text, nullable=False),
    Column("creator_username", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("frozen_at", DateTime, nullable=False),
    Column("number_of_items", Integer, nullable=False),
    Column("size_in_bytes", BigInteger, nullable=False),
    # The fields of the admin metadata that have no column.
    Column("other_json", Text, nullable=False),
    Column("tags_json", Text, nullable=False),
    Column("annotations_json", Text, nullable=False),
    Column("readme_json", Text, nullable=False),
    # Last, because SQLite reads all columns before the one that it needs.
    Column("manifest_json", Text, nullable=False),
    Index("ix_sql_index_dataset_uri", "uri", unique=True),
    Index("ix_sql_index_dataset_base_uri", "base_uri"),
    Index("ix_sql_index_dataset_uuid", "uuid"),
)

# SHA-256 of each tag, because an index entry has a maximum length.
tags = Table(
    "sql_index_tag",
    sql_db.metadata,
    Column("dataset_id", Integer, ForeignKey(datasets.c.id), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Index("ix_sql_index_tag_digest", "digest"),
)

# The words of a dataset, in several rows, because a tsvector holds less than 1 MiB.
texts = Table(
    "sql_index_text",
    sql_db.metadata,
    Column("dataset_id", Integer, ForeignKey(datasets.c.id), primary_key=True),
    Column("field", String(16), primary_key=True),
    Column("part", Integer, primary_key=True),
    # As words.parts_of() makes it. It is searched with LIKE, on PostgreSQL only for phrases.
    Column("content", Text, nullable=False),
    # The same words without their order on PostgreSQL; null on other databases.
    Column("words", Text().with_variant(TSVECTOR(), "postgresql")),
    # On every database, because Alembic compares indexes without regard to DDLElement.ddl_if().
    Index("ix_sql_index_text_words", "words", postgresql_using="gin"),
)

NAMES = frozenset(table.name for table in (datasets, tags, texts))


def is_postgresql() -> bool:
    """Return whether dserver's database is PostgreSQL."""
    return str(sql_db.session.get_bind().dialect.name) == "postgresql"
