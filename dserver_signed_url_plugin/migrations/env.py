"""Alembic's way into dserver's database, for `flask db` (README.rst beside this file).

Knows which tables this history is about: dserver's own and this plugin's. Never touches another,
whether dserver's database has it or dserver's metadata does.
"""

from __future__ import annotations

import logging
from typing import Any

from alembic import context
from alembic.operations import Operations
from flask import current_app

from dserver_signed_url_plugin import tables


def concerns_us(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Tell whether a table of the metadata, or what belongs to one, is part of this history."""
    return kind != "table" or tables.is_known(name)


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
        "version_table": tables.VERSION_TABLE,
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
                lock = f"SELECT pg_advisory_xact_lock(hashtext('{tables.VERSION_TABLE}'))"
                connection.exec_driver_sql(lock)
            context.run_migrations()
            if _is_upgrade():
                # A dservercore may have been installed since the last revision was run.
                with Operations.context(context.get_context()):
                    tables.complete_dservers()
        connection.commit()


def _is_upgrade() -> bool:
    """Tell `flask db upgrade` from the other commands, by the function that Alembic runs for it."""
    return getattr(context.get_context().opts.get("fn"), "__name__", "") == "upgrade"


logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)
migrate()
