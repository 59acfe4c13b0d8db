"""Repository for the ``signed_url_share`` table: its statements.

One statement and one commit each, so that workers, threads and servers agree on what a share may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from dservercore import sql_db
from dservercore.sql_models import BaseURI as KnownBaseURI
from dservercore.sql_models import Dataset, User, search_permissions
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Select,
    and_,
    bindparam,
    event,
    exists,
    func,
    insert,
    inspect,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from dserver_signed_url_plugin.shares.facts import EndReason, ShareFacts
from dserver_signed_url_plugin.shares.models import Share
from dserver_signed_url_plugin.times import in_utc
from dserver_signed_url_plugin.uris import DatasetURI

_datasets, _users, _base_uris = (model.__table__.c for model in (Dataset, User, KnownBaseURI))
_columns = Share.__table__.c
_FROZEN_AT = select(_datasets.frozen_at).where(_datasets.uri == _columns.uri).scalar_subquery()
_OWNER_MAY_READ = exists(
    select(search_permissions.c.user_id)
    .join(User.__table__, _users.id == search_permissions.c.user_id)
    .join(KnownBaseURI.__table__, _base_uris.id == search_permissions.c.base_uri_id)
    .where(_users.id == _columns.owner_id)
    .where(_users.username == _columns.owner)
    .where(_base_uris.base_uri == _columns.base_uri)
)
# Of the table, because objects of a model would take twice as long.
_FACTS = select(
    *(column for column in _columns if column.name != "identifiers"),
    _FROZEN_AT.label("registered_frozen_at"),
    or_(_columns.owner == "", _OWNER_MAY_READ).label("owner_may_read"),
)
Condition = ColumnElement[bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# dserver's table may keep fewer digits of a second than the store.
_SAME_MOMENT = timedelta(seconds=1)


def by_token_hash(token_hash: str) -> tuple[ShareFacts, str] | None:
    """Return the share with this hash of its token, and the hash that the table has, or None."""
    row = one(_FACTS.where(_columns.token_hash == token_hash))
    return None if row is None else (_facts(row), row.token_hash)


def find(share_id: str, *conditions: Condition) -> ShareFacts | None:
    """Return a share if it meets the conditions, or None."""
    row = one(_FACTS.where(_columns.id == share_id, *conditions))
    return None if row is None else _facts(row)


def identifiers(share_id: str) -> bytes | None:
    """Return the sorted SHA-1 digests of the items of a share, or None if all are shared.

    Of a share that is no longer there, none are.
    """
    row = one(select(_columns.identifiers).where(_columns.id == share_id))
    return b"" if row is None else row[0]


def of_user(username: str) -> Condition:
    """Return the condition for shares of this user, not of a deleted one of the same name."""
    user_id = select(_users.id).where(_users.username == username).scalar_subquery()
    return and_(_columns.owner == username, _columns.owner_id == user_id)


def of_owner(name: str) -> Condition:
    """Return the condition for shares of users of this name, also of one who was deleted."""
    condition: Condition = _columns.owner == name
    return condition


def of_dataset(uri: str) -> Condition:
    """Return the condition for shares of this dataset."""
    condition: Condition = _columns.uri == uri
    return condition


def page(conditions: Sequence[Condition], before: str | None, most: int) -> list[ShareFacts]:
    """Return the shares that meet the conditions, newest first.

    :param before: the cursor of the last share of the previous page.
    """
    wanted = _FACTS.where(*conditions).limit(most)
    if before is not None:
        wanted = wanted.where(tuple_(_columns.created_at, _columns.id) < tuple_(*_position(before)))
    return _newest_first(wanted)


def active(uris: Sequence[str]) -> list[ShareFacts]:
    """Return the shares of these datasets that work, as far as this table tells, newest first."""
    works = is_active(datetime.now(timezone.utc))
    return _newest_first(_FACTS.where(_columns.uri.in_(uris), works))


def insert_share(values: Mapping[str, Any], most: int | None) -> ShareFacts | None:
    """Insert a share and return it, or None if its owner has too many that still work.

    Those of the owner that ended lose the list of their items, which may be 200 kB each.

    :param values: by name of the column, without ``owner_id``.
    :param most: how many shares of the owner may work at once; None for any number.
    """
    if most is not None:
        _lock_quota(values["owner"])
        sql_db.session.execute(_emptying_ended(values["owner"]))
    sql_db.session.execute(_insertion(values, most), values)
    sql_db.session.commit()
    return find(values["id"])


def count_download(share_id: str) -> bool:
    """Count one download; return False if the share has ended, or has no downloads left."""
    condition = and_(_columns.id == share_id, is_active(datetime.now(timezone.utc)))
    return changed(update(Share).where(condition).values(downloads=Share.downloads + 1)) == 1


def end(condition: Condition, because: EndReason) -> int:
    """End the shares that match and have not been ended; return how many."""
    return changed(_ending(condition, because))


def revoke(share_id: str) -> None:
    """End a share, unless it was ended before."""
    end(_columns.id == share_id, "revoked")


def end_shares_of_dataset(uri: str) -> None:
    """End the shares of a dataset, without a commit: dserver is deleting it from its register."""
    sql_db.session.execute(_ending(of_dataset(uri), "dataset-deleted"))


def cursor(share: ShareFacts) -> str:
    """Return a share's position among all, for ``before`` of ``page``."""
    return f"{(share.created_at - _EPOCH) // timedelta(microseconds=1)}-{share.id}"


@event.listens_for(User, "before_delete")
def _end_shares_of_user(_mapper: Any, connection: Connection, user: Any) -> None:
    """End a user's shares in the transaction that deletes the user, whose ID may be given anew."""
    # Without this table, because no migration has been run yet, users can be deleted all the same.
    if inspect(connection).has_table(Share.__tablename__):
        mine = _columns.owner_id == user.id
        connection.execute(_ending(mine, "owner-deleted"))
        connection.execute(update(Share.__table__).where(mine).values(owner_id=None))


def is_active(now: datetime) -> Condition:
    """Return the condition for shares that work, as far as this table tells."""
    return and_(
        _columns.ended_at.is_(None),
        _columns.ends_at > now,
        or_(_columns.max_downloads.is_(None), _columns.downloads < _columns.max_downloads),
    )


def _ending(condition: Condition, because: EndReason) -> Any:
    statement = update(Share.__table__).where(condition, _columns.ended_at.is_(None))
    return statement.values(ended_at=datetime.now(timezone.utc), ended_because=because)


def _emptying_ended(owner: str) -> Any:
    # Without items, and not with NULL, which stands for all of them.
    ended = and_(_columns.owner == owner, ~is_active(datetime.now(timezone.utc)))
    some = select(_columns.id).where(ended, func.length(_columns.identifiers) > 0)
    some = some.with_for_update(skip_locked=True)
    return update(Share.__table__).where(_columns.id.in_(some)).values(identifiers=b"")


def _lock_quota(owner: str) -> None:
    """Lock one owner's quota in PostgreSQL until the transaction ends.

    SQLite allows one writer at a time anyway.
    """
    if sql_db.engine.dialect.name == "postgresql":
        key = func.hashtext(f"signed_url_share {owner}")
        sql_db.session.execute(select(func.pg_advisory_xact_lock(key)))


def _insertion(values: Mapping[str, Any], most: int | None) -> Insert:
    """Return the statement that inserts these values, if the quota allows."""
    owner_id = select(_users.id).where(_users.username == values["owner"]).scalar_subquery()
    row = select(owner_id, *(bindparam(name, type_=_columns[name].type) for name in values))
    if most is not None:
        mine = select(func.count()).where(_columns.owner == values["owner"])
        active = mine.where(is_active(datetime.now(timezone.utc))).scalar_subquery()
        # PostgreSQL takes a number for a 32-bit integer unless its type is said.
        row = row.where(active < literal(most, BigInteger))
    return insert(Share.__table__).from_select(["owner_id", *values], row)


def one(statement: Select[Any]) -> Any:
    """Return the first row, or None."""
    row = sql_db.session.execute(statement).first()
    # Ends the transaction, because callers continue with requests to the store, which take time.
    sql_db.session.rollback()
    return row


def changed(statement: Any) -> int:
    """Run one statement and commit; return how many rows it changed."""
    options = {"synchronize_session": False}
    number: int = sql_db.session.execute(statement, execution_options=options).rowcount
    sql_db.session.commit()
    return number


def _newest_first(wanted: Select[Any]) -> list[ShareFacts]:
    """Run a query of _FACTS; return the shares, newest first."""
    ordered = wanted.order_by(_columns.created_at.desc(), _columns.id.desc())
    rows = sql_db.session.execute(ordered).all()
    sql_db.session.rollback()
    return [_facts(row) for row in rows]


def _position(before: str) -> tuple[datetime, str]:
    moment, _, share_id = before.partition("-")
    return _EPOCH + timedelta(microseconds=int(moment)), share_id


def _facts(row: Any) -> ShareFacts:
    registered = row.registered_frozen_at
    is_same = registered is not None and (
        abs(in_utc(registered) - in_utc(row.frozen_at)) < _SAME_MOMENT
    )
    return ShareFacts(
        id=row.id,
        uri=DatasetURI.parse(row.uri),
        owner=row.owner,
        name=row.name,
        note=row.note,
        created_at=in_utc(row.created_at),
        ends_at=in_utc(row.ends_at),
        ended_at=None if row.ended_at is None else in_utc(row.ended_at),
        ended_because=row.ended_because,
        max_downloads=row.max_downloads,
        downloads=row.downloads,
        number_of_items=row.number_of_items,
        size_in_bytes=row.size_in_bytes,
        is_available=bool(is_same and row.owner_may_read),
    )
