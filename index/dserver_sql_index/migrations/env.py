"""Alembic's environment script, run by `flask db` for the tables of the index.

All other tables are ignored.
"""

from __future__ import annotations

import logging
from typing import Any

from alembic import context
from dserver_sql_index.tables import NAMES, VERSION_TABLE
from flask import current_app


def include_object(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Return whether an object of the metadata or the database belongs to this history."""
    return kind != "table" or name in NAMES


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Return the same by name, before the database is asked for details of the object."""
    return include_object(None, name, kind)


def migrate() -> None:
    """Run the migrations, or print them as SQL."""
    extension = current_app.extensions["migrate"]
    options = {
        **extension.configure_args,
        "target_metadata": extension.db.metadata,
        "include_object": include_object,
        "include_name": include_name,
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
                # Several servers may start at the same time, each with a migration.
                lock = f"SELECT pg_advisory_xact_lock(hashtext('{VERSION_TABLE}'))"
                connection.exec_driver_sql(lock)
            context.run_migrations()
        connection.commit()


logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)
migrate()
