"""Whether the tables of the database are those that the installed versions read and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from dservercore import sql_db
from sqlalchemy import (
    Connection,
    Engine,
    String,
    column,
    false,
    inspect,
    literal,
    or_,
    select,
    table,
)

from dserver_signed_url_plugin import database, tables
from dserver_signed_url_plugin.errors import MigrationsBehind

# The histories of other packages, by package: the version table, and the names of the other tables.
OtherMigrations = Mapping[str, tuple[str, AbstractSet[str]]]


class Migrations(Enum):
    """The revision of the database, compared with that of this version.

    ``NEWER``: a later version has upgraded it. ``FOREIGN``: its tables come from migrations of the
    host, or were created by other means.
    """

    CURRENT = "current"
    NEWER = "newer"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class History:
    """The Alembic history in the directory ``migrations`` of a package, and its tables."""

    package: str
    version_table: str
    tables: AbstractSet[str]

    def compared(self, connection: Connection) -> Migrations:
        """Compare the tables with the installed version.

        :raises MigrationsBehind: if tables or columns are missing, or a revision has not been run.
        """
        try:
            connection.execute(self._every_column())
        except database.REFUSALS as error:
            if database.is_outdated(error):
                raise MigrationsBehind(self.package) from error
            raise
        if not inspect(connection).has_table(self.version_table):
            return Migrations.FOREIGN
        revisions = select(column("version_num", String)).select_from(table(self.version_table))
        found = set(connection.scalars(revisions))
        known, heads = _revisions(self.package)
        if found <= known and found != heads:
            raise MigrationsBehind(self.package)
        return Migrations.CURRENT if found == heads else Migrations.NEWER

    def _every_column(self) -> sql_db.Select[tuple[int]]:
        """Return a statement that names every column, and reads no row."""
        every = (sql_db.metadata.tables[name] for name in sorted(self.tables))
        return select(literal(1)).where(
            or_(*(each.select().where(false()).exists() for each in every))
        )


def histories(others: OtherMigrations) -> Sequence[History]:
    """Return these histories, and that of this package as the last."""
    own = tables.PLUGIN_TABLES | {table.name for table in tables.dserver_tables()}
    return [
        *(History(package, *history) for package, history in others.items()),
        History("dserver_signed_url_plugin", tables.VERSION_TABLE, own),
    ]


def checked(engine: Engine, histories: Sequence[History]) -> Migrations:
    """Connect to the database, and compare its tables with the installed versions.

    Every table and column that these use has to exist; others do no harm.

    :return: the result for the last of the histories.
    :raises MigrationsBehind: if tables or columns are missing, or a revision has not been run.
    :raises DatabaseBusy: if the database refuses, or does not answer.
    """
    # Like every statement of a request: a new connection may remain in the pool.
    database.limit_request()
    with database.translating(), engine.connect() as connection:
        return [history.compared(connection) for history in histories][-1]


@cache
def _revisions(package: str) -> tuple[AbstractSet[str], AbstractSet[str]]:
    """Return the revisions of a history, and the last of them."""
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    scripts = ScriptDirectory.from_config(config)
    return {each.revision for each in scripts.walk_revisions()}, set(scripts.get_heads())
