"""Sums of bytes in the database, which may be more than an integer of SQLite holds."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Double, cast, func
from sqlalchemy.orm import InstrumentedAttribute


def sum_of_bytes(
    column: ColumnElement[int | None] | InstrumentedAttribute[int | None],
) -> ColumnElement[float]:
    """Return the sum of a column as a float, without NULLs; 0 if there are no rows.

    It is exact up to 2**53 bytes (8 PiB).
    """
    return func.coalesce(func.sum(cast(column, Double)), 0)
