"""Alembic's way into dserver's database, for `flask db` (README.rst beside this file).

Knows which tables this history is about: dserver's own and this plugin's. Never touches another,
whether dserver's database has it or dserver's metadata does.
"""

from __future__ import annotations

import logging
from typing import Any

from alembic import context
from flask import current_app

DSERVERS = {"user", "base_uri", "dataset", "search_permissions", "register_permissions"}
OURS = {"pending_upload", "signed_url_audit"}
# Not Alembic's own name: in that table dserver's owner may keep another history.
VERSION_TABLE = "alembic_version_signed_url"


def concerns_us(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Tell whether a table of the metadata, or what belongs to one, is part of this history."""
    return kind != "table" or name in DSERVERS | OURS


def is_looked_at(name: str | None, kind: str, _parents: Any) -> bool:
    """Tell the same of what the database has, before anything is asked about it."""
    return concerns_us(None, name, kind)


def migrate() -> None:
    """Run what was asked for, or write it down as SQL."""
    extension = current_app.extensions["migrate"]
    options = {
        **extension.configure_args,
        "target_metadata": extension.db.metadata,
        "include_object": concerns_us,
        "include_name": is_looked_at,
        "version_table": VERSION_TABLE,
    }
    engine = extension.db.engine
    if context.is_offline_mode():
        context.configure(dialect_name=engine.dialect.name, literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            if engine.dialect.name == "postgresql":
                # Several servers may start at once, and each migrates first.
                lock = f"SELECT pg_advisory_xact_lock(hashtext('{VERSION_TABLE}'))"
                connection.exec_driver_sql(lock)
            context.run_migrations()


logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)
migrate()
