"""Operations of the migrations on tables that may exist already, also those of dserver.

Importing this module also adapts the revisions that a host generates with `flask db migrate`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from alembic import op
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import CommandError, DispatchPriority
from dservercore import sql_db
from sqlalchemy import (
    Column,
    DefaultClause,
    ForeignKey,
    MetaData,
    String,
    Table,
    inspect,
    literal,
    select,
)
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlalchemy.types import TypeEngine

logger = logging.getLogger("alembic.runtime.migration")

PLUGIN_TABLES = frozenset(
    {
        "pending_upload",
        "announced_manifest",
        "item_in_parts",
        "dataset_in_parts",
        "signed_url_audit",
        "signed_url_share",
        "temp_share_deposit",
    }
)
# Not Alembic's default name, which the host may use for a history of its own.
VERSION_TABLE = "alembic_version_signed_url"

# Returns a row of the new table for a row of the old one.
ConvertRow = Callable[[dict[str, Any]], Mapping[str, Any]]


def dserver_tables() -> list[Table]:
    """Return the tables that the installed dservercore declares, sorted by their foreign keys."""
    mappers = [
        mapper
        for mapper in sql_db.Model.registry.mappers
        if mapper.class_.__module__.partition(".")[0] == "dservercore"
    ]
    found = {mapper.local_table for mapper in mappers}
    found |= {link.secondary for mapper in mappers for link in mapper.relationships}
    return [table for table in sql_db.metadata.sorted_tables if table in found]


def is_known(name: str | None) -> bool:
    """Return whether a table belongs to dserver or to this plugin."""
    return name in PLUGIN_TABLES or name in {table.name for table in dserver_tables()}


def complete_dserver_tables() -> None:
    """Create the tables, columns and indexes of dserver that do not exist, and widen text columns.

    If SQL is printed instead of run, it creates everything.

    :raises CommandError: if a missing column is required but has no default for existing rows.
    """
    for table in dserver_tables():
        creation = ops.CreateTableOp.from_table(table)
        creation.if_not_exists = True
        op.invoke(creation)
        if not op.get_context().as_sql:
            _complete(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            addition = ops.CreateIndexOp.from_index(index)
            addition.if_not_exists = True
            op.invoke(addition)


def missing_columns(name: str, columns: Collection[str], required: Collection[str]) -> set[str]:
    """Return which of the columns an existing table does not have.

    :param required: columns that cannot be added, because there is no value for existing rows.
    :raises CommandError: if one of the required columns is missing.
    """
    found = {column["name"] for column in inspect(op.get_bind()).get_columns(name)}
    missing = sorted(set(required) - found)
    if missing:
        raise CommandError(
            f"The table {name} is not this plugin's: it has no column {', '.join(missing)}. Rename "
            "or drop it, and run the upgrade again."
        )
    return set(columns) - found


def rebuild(name: str, create: Callable[[Sequence[Column[Any]]], Any], convert: ConvertRow) -> int:
    """Replace a table by a new one with the same rows, in one transaction; return their number.

    :param create: creates the new table, with the columns of the old one in addition to its own.
    """
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        # The driver does not begin a transaction for DROP TABLE.
        bind.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        bind.exec_driver_sql(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
    before = Table(name, MetaData(), autoload_with=bind, resolve_fks=False)
    rows = [convert(dict(row)) for row in bind.execute(select(before)).mappings()]
    op.drop_table(name)
    create([Column(column.name, column.type) for column in before.columns])
    if rows:
        bind.execute(Table(name, MetaData(), autoload_with=bind).insert(), rows)
    logger.info("Took over %d row(s) of the table %s", len(rows), name)
    return len(rows)


def _complete(table: Table) -> None:
    found = {column["name"]: column for column in inspect(op.get_bind()).get_columns(table.name)}
    for column in table.columns:
        existing = found.get(column.name)
        if existing is None:
            op.add_column(table.name, _addable(column))
            logger.info("Added the column %s to dserver's table %s", column.name, table.name)
        elif _is_longer(column.type, existing["type"]):
            with op.batch_alter_table(table.name) as batch:
                batch.alter_column(
                    column.name, existing_type=existing["type"], type_=column.type,
                    existing_nullable=existing["nullable"],
                )  # fmt: skip


def _addable(column: Column[Any]) -> Column[Any]:
    """Return a column that can be added to a table with rows; its index is created separately."""
    clause, own = column.server_default, column.default
    default: Any = clause.arg if isinstance(clause, DefaultClause) else None
    if not column.nullable and default is None:
        if not isinstance(own, ScalarElementColumnDefault):
            raise CommandError(
                f"dserver's table {column.table.name} has no column {column.name}, and dservercore "
                "declares no default for existing rows: add it in a migration of your own."
            )
        default = literal(own.arg, column.type)
    keys = [ForeignKey(key.target_fullname) for key in column.foreign_keys]
    return Column(column.name, column.type, *keys, nullable=column.nullable, server_default=default)


def _is_longer(declared: TypeEngine[Any], found: TypeEngine[Any]) -> bool:
    """Return whether the declared type is a longer text than the one in the database."""
    if not isinstance(declared, String) or not isinstance(found, String) or found.length is None:
        return False
    return declared.length is None or declared.length > found.length


# Revisions of the host ----------------------------------------------------------------------


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _make_compatible(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: Collection[str | None]
) -> None:
    """Make revisions of `flask db migrate` work on a database that already has the tables.

    A host may generate a revision on one database, and run this plugin's first on another.
    """
    upgrade.ops = [each for each in upgrade.ops if not _drops_version_table(each)]
    for each in _flatten(upgrade.ops):
        if isinstance(each, (ops.CreateTableOp, ops.CreateIndexOp)) and is_known(each.table_name):
            each.if_not_exists = True


def _drops_version_table(operation: ops.MigrateOperation) -> bool:
    return isinstance(operation, ops.DropTableOp) and operation.table_name == VERSION_TABLE


def _flatten(operations: Sequence[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for each in operations:
        if isinstance(each, ops.OpContainer):
            yield from _flatten(each.ops)
        else:
            yield each
