"""Whether the tables of the database are those that this version reads and writes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cache
from pathlib import Path

from alembic.script import ScriptDirectory
from dservercore import sql_db
from sqlalchemy import Engine, Table, false, inspect, literal, or_, select, text

from dserver_signed_url_plugin import database, tables
from dserver_signed_url_plugin.errors import DatabaseBusy, MigrationsBehind

_MIGRATIONS = Path(tables.__file__).parent / "migrations"
_REVISIONS = text(f"SELECT version_num FROM {tables.VERSION_TABLE}")  # noqa: S608 (a constant)


class Migrations(Enum):
    """The revision of the database, compared with that of this version.

    ``NEWER``: a later version has upgraded it. ``FOREIGN``: its tables come from migrations of the
    host, or were created by other means.
    """

    CURRENT = "current"
    NEWER = "newer"
    FOREIGN = "foreign"


def checked(engine: Engine) -> Migrations:
    """Connect to the database, and compare its tables with those of this version.

    Every table and column that this version uses has to exist; others do no harm.

    :raises MigrationsBehind: if tables or columns are missing, or a revision has not been run.
    :raises DatabaseBusy: if the database refuses, or does not answer.
    """
    # Like every statement of a request: a new connection may remain in the pool.
    database.limit_request()
    try:
        return _compared(engine)
    except database.REFUSALS as error:
        if database.is_outdated(error):
            raise MigrationsBehind from error
        raise DatabaseBusy(database.advice(error)) from error


def _compared(engine: Engine) -> Migrations:
    with engine.connect() as connection:
        connection.execute(_every_column())
        if not inspect(connection).has_table(tables.VERSION_TABLE):
            return Migrations.FOREIGN
        found = set(connection.scalars(_REVISIONS))
    known, heads = _history()
    if found <= known and found != heads:
        raise MigrationsBehind
    return Migrations.CURRENT if found == heads else Migrations.NEWER


def _every_column() -> sql_db.Select[tuple[int]]:
    """Return a statement that names every column, and reads no row."""
    own = [sql_db.metadata.tables[name] for name in sorted(tables.PLUGIN_TABLES)]
    every: list[Table] = [*tables.dserver_tables(), *own]
    return select(literal(1)).where(or_(*(select(one).where(false()).exists() for one in every)))


@cache
def _history() -> tuple[AbstractSet[str], AbstractSet[str]]:
    """Return the revisions of this version, and the last of them."""
    history = ScriptDirectory(str(_MIGRATIONS))
    return {each.revision for each in history.walk_revisions()}, set(history.get_heads())
