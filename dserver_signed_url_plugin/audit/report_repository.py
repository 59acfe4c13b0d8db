"""Statements of the report: sums of the rows of ``signed_url_audit``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, distinct, func, select

from dserver_signed_url_plugin.audit.repository import SignedURLAudit, read
from dserver_signed_url_plugin.sums import sum_of_bytes

_READS = ("read-dataset", "read-items", "read-item", "share-download", "share-url")


@dataclass(frozen=True)
class Sums:
    """Sums of what a user, an operator or people with links deposited in or read from a base URI.

    ``username`` and ``operator`` are empty where there was none.
    """

    username: str
    operator: str
    by_link: bool
    base_uri: str
    datasets: int
    items: int
    size_in_bytes: int
    unsized: int


def deposits(since: datetime, until: datetime | None) -> Sequence[Sums]:
    """Return what was registered since a time, and before another; a dataset counts once.

    :raises DatabaseBusy: if the table cannot be read.
    """
    row = SignedURLAudit
    # The answer to a completion that is repeated is recorded, too.
    first = (
        select(func.min(row.id))
        .where(row.action == "upload-complete", row.outcome == "granted", row.items.is_not(None))
        .group_by(row.uri)
    )
    return _sums(since, until, row.id.in_(first))


def reads(since: datetime, until: datetime | None) -> Sequence[Sums]:
    """Return for what URLs were granted since a time, and before another.

    :raises DatabaseBusy: if the table cannot be read.
    """
    row = SignedURLAudit
    # `flask temp_share create` grants URLs under the action that also creates shares.
    is_read = row.action.in_(_READS) | ((row.action == "share-create") & row.share.is_(None))
    return _sums(since, until, is_read, row.outcome == "granted")


def _sums(
    since: datetime, until: datetime | None, *conditions: ColumnElement[bool]
) -> Sequence[Sums]:
    row = SignedURLAudit
    period = [row.time >= since, *([] if until is None else [row.time < until])]
    who: list[ColumnElement[Any]] = [
        row.username.label("username"),
        func.coalesce(row.operator, "").label("operator"),
        row.share.is_not(None).label("by_link"),
        row.base_uri.label("base_uri"),
    ]
    items = func.coalesce(row.items, 0)
    numbers: dict[str, ColumnElement[Any]] = {
        "datasets": func.count(distinct(row.uri)),
        "items": func.sum(items),
        "size_in_bytes": sum_of_bytes(row.size_in_bytes),
        "unsized": func.sum(case((row.size_in_bytes.is_(None), items), else_=0)),
    }
    summed = [number.label(name) for name, number in numbers.items()]
    wanted = select(*who, *summed).where(*period, *conditions).group_by(*who)
    return [
        # PostgreSQL's sums of integers are decimal numbers.
        Sums(**{**found._mapping, **{name: int(found._mapping[name]) for name in numbers}})
        for found in read(wanted)
    ]
