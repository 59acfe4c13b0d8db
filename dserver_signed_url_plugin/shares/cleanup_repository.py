"""Repository for the ``signed_url_share`` table: the statements of its clean-up."""

from __future__ import annotations

from datetime import datetime, timezone

from dservercore.sql_models import Dataset, User
from sqlalchemy import and_, delete, exists, func, or_, select

from dserver_signed_url_plugin.shares import repository
from dserver_signed_url_plugin.shares.models import Share
from dserver_signed_url_plugin.shares.repository import Condition

_datasets, _users, _columns = (model.__table__.c for model in (Dataset, User, Share))
# Rows deleted in one transaction, so that visits do not wait for long.
MAX_DELETED = 1000


def end_without_dataset() -> int:
    """End the shares that would work, but for their dataset, which is gone; return how many."""
    return repository.end(_without_dataset(), "dataset-deleted")


def end_without_owner() -> int:
    """End the shares that would work, but for their owner, who is gone; return how many."""
    return repository.end(_without_owner(), "owner-deleted")


def count_without_dataset_or_owner() -> int:
    """Return how many shares the two functions above would end."""
    return _count(and_(or_(_without_dataset(), _without_owner()), _columns.ended_at.is_(None)))


def delete_ended(before: datetime) -> int:
    """Delete the shares that ended before a time (UTC); return how many.

    Concurrent calls delete different rows, a limited number in each transaction.
    """
    some = select(_columns.id).where(_ended_before(before)).limit(MAX_DELETED)
    statement = delete(Share).where(Share.id.in_(some.with_for_update(skip_locked=True)))
    deleted = 0
    while number := repository.changed(statement):
        deleted += number
    return deleted


def count_ended(before: datetime) -> int:
    """Return how many shares ended before a time (UTC)."""
    return _count(_ended_before(before))


def _without_dataset() -> Condition:
    is_there = exists(select(_datasets.id).where(_datasets.uri == _columns.uri))
    return and_(_columns.ends_at > datetime.now(timezone.utc), ~is_there)


def _without_owner() -> Condition:
    is_owner = and_(_users.id == _columns.owner_id, _users.username == _columns.owner)
    is_gone = and_(_columns.owner != "", ~exists(select(_users.id).where(is_owner)))
    return and_(_columns.ends_at > datetime.now(timezone.utc), is_gone)


def _ended_before(before: datetime) -> Condition:
    return or_(_columns.ends_at < before, _columns.ended_at < before)


def _count(condition: Condition) -> int:
    number: int = repository.one(
        select(func.count()).select_from(Share.__table__).where(condition)
    )[0]
    return number
