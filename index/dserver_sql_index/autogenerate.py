"""Adapts the revisions that a host generates with `flask db migrate`.

A host may generate a revision on one database, and run it on another, where the migrations of this
package have created the tables. Importing this module is enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import DispatchPriority

from dserver_sql_index.tables import NAMES, VERSION_TABLE


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _make_compatible(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: Collection[str | None]
) -> None:
    upgrade.ops = [each for each in upgrade.ops if not _drops_version_table(each)]
    for each in _flatten(upgrade.ops):
        if isinstance(each, (ops.CreateTableOp, ops.CreateIndexOp)) and each.table_name in NAMES:
            each.if_not_exists = True


def _drops_version_table(operation: ops.MigrateOperation) -> bool:
    return isinstance(operation, ops.DropTableOp) and operation.table_name == VERSION_TABLE


def _flatten(operations: Sequence[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for each in operations:
        if isinstance(each, ops.OpContainer):
            yield from _flatten(each.ops)
        else:
            yield each
