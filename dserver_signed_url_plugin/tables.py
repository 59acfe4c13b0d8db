"""The tables of dserver's database: which are dserver's, and giving one that exists what it lacks.

For the migrations, and for those that a host writes by `flask db migrate`. Knows Alembic's
operations and what the installed dservercore declares; never touches any other table.
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

OURS = frozenset({"pending_upload", "signed_url_audit"})
# Not Alembic's own name: in that table dserver's owner may keep another history.
VERSION_TABLE = "alembic_version_signed_url"

# Turns a row of the table as it was into one of the table as it is to be.
Completed = Callable[[dict[str, Any]], Mapping[str, Any]]


def dservers_tables() -> list[Table]:
    """Return the tables that the installed dservercore declares, in the order of their needs."""
    mappers = [
        mapper
        for mapper in sql_db.Model.registry.mappers
        if mapper.class_.__module__.partition(".")[0] == "dservercore"
    ]
    found = {mapper.local_table for mapper in mappers}
    found |= {link.secondary for mapper in mappers for link in mapper.relationships}
    return [table for table in sql_db.metadata.sorted_tables if table in found]


def is_known(name: str | None) -> bool:
    """Tell whether a table is dserver's or this plugin's."""
    return name in OURS or name in {table.name for table in dservers_tables()}


def complete_dservers() -> None:
    """Create dserver's tables, columns and indexes as far as they are missing, and widen texts.

    Where statements are only written down there is nothing to look at: all is created.

    :raises CommandError: if a column is missing whose value nobody knows for the rows there are.
    """
    for table in dservers_tables():
        creation = ops.CreateTableOp.from_table(table)
        creation.if_not_exists = True
        op.invoke(creation)
        if not op.get_context().as_sql:
            _complete(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            addition = ops.CreateIndexOp.from_index(index)
            addition.if_not_exists = True
            op.invoke(addition)


def lacking(name: str, columns: Collection[str], needed: Collection[str]) -> set[str]:
    """Return which of these columns a table does not have that somebody else made.

    :param needed: those of which nobody can tell what they should hold.
    :raises CommandError: if one of these is lacking.
    """
    found = {column["name"] for column in inspect(op.get_bind()).get_columns(name)}
    unknown = sorted(set(needed) - found)
    if unknown:
        raise CommandError(
            f"The table {name} is not this plugin's: it has no column {', '.join(unknown)}. Rename "
            "or drop it, and run this again."
        )
    return set(columns) - found


def rebuild(name: str, create: Callable[[Sequence[Column[Any]]], Any], completed: Completed) -> int:
    """Make a table anew with the rows that it had, in one transaction; return their number.

    :param create: creates it, with these columns in addition to its own.
    """
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        # Its driver begins no transaction before a table is dropped.
        bind.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        bind.exec_driver_sql(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
    before = Table(name, MetaData(), autoload_with=bind, resolve_fks=False)
    rows = [completed(dict(row)) for row in bind.execute(select(before)).mappings()]
    op.drop_table(name)
    create([Column(column.name, column.type) for column in before.columns])
    if rows:
        bind.execute(Table(name, MetaData(), autoload_with=bind).insert(), rows)
    logger.info("Took over %d row(s) of the table %s", len(rows), name)
    return len(rows)


def _complete(table: Table) -> None:
    found = {column["name"]: column for column in inspect(op.get_bind()).get_columns(table.name)}
    for column in table.columns:
        there = found.get(column.name)
        if there is None:
            op.add_column(table.name, _addable(column))
            logger.info("Added the column %s to dserver's table %s", column.name, table.name)
        elif _is_longer(column.type, there["type"]):
            with op.batch_alter_table(table.name) as batch:
                batch.alter_column(
                    column.name, existing_type=there["type"], type_=column.type,
                    existing_nullable=there["nullable"],
                )  # fmt: skip


def _addable(column: Column[Any]) -> Column[Any]:
    """Return a column that can be added to a table with rows; its index is made afterwards."""
    clause, own = column.server_default, column.default
    default: Any = clause.arg if isinstance(clause, DefaultClause) else None
    if not column.nullable and default is None:
        if not isinstance(own, ScalarElementColumnDefault):
            raise CommandError(
                f"dserver's table {column.table.name} has no column {column.name}, and dservercore "
                "does not say what its rows should hold there: add it by a migration of your own."
            )
        default = literal(own.arg, column.type)
    keys = [ForeignKey(key.target_fullname) for key in column.foreign_keys]
    return Column(column.name, column.type, *keys, nullable=column.nullable, server_default=default)


def _is_longer(declared: TypeEngine[Any], found: TypeEngine[Any]) -> bool:
    """Tell whether a text may be longer than the database takes."""
    if not isinstance(declared, String) or not isinstance(found, String) or found.length is None:
        return False
    return declared.length is None or declared.length > found.length


# What hosts write ---------------------------------------------------------------------------


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _let_both_histories_be(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: Collection[str | None]
) -> None:
    """Let what `flask db migrate` writes be run on a database that has the tables already.

    A host may write a revision on one database, and run ours first on another.
    """
    upgrade.ops = [each for each in upgrade.ops if not _drops_our_history(each)]
    for each in _flat(upgrade.ops):
        if isinstance(each, (ops.CreateTableOp, ops.CreateIndexOp)) and is_known(each.table_name):
            each.if_not_exists = True


def _drops_our_history(operation: ops.MigrateOperation) -> bool:
    return isinstance(operation, ops.DropTableOp) and operation.table_name == VERSION_TABLE


def _flat(operations: Sequence[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for each in operations:
        if isinstance(each, ops.OpContainer):
            yield from _flat(each.ops)
        else:
            yield each
