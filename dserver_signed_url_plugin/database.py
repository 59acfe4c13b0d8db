"""What a database refuses: which errors any statement may raise, and which words may be told.

Knows the errors of SQLAlchemy and its drivers; writes no statement, and answers nobody.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

REFUSALS = (DBAPIError, PoolTimeoutError)


def words(refusal: Exception) -> str:
    """Return what the driver said, without the statement, its values, and any row."""
    # SQLAlchemy's own words would add the first two, and PostgreSQL's later lines the last.
    return str(getattr(refusal, "orig", None) or "no connection").partition("\n")[0]
