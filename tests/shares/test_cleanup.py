"""Cleaning up shares: what leads nowhere is ended, what ended long ago is deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dservercore import sql_db
from dservercore.sql_models import Dataset, User, register_permissions, search_permissions
from sqlalchemy import delete, event, func, insert, select

from dserver_signed_url_plugin.errors import TooManyShares
from dserver_signed_url_plugin.permissions import permit_read
from dserver_signed_url_plugin.shares import repository
from dserver_signed_url_plugin.shares.cleanup import CleanedShares
from dserver_signed_url_plugin.shares.models import Share
from dserver_signed_url_plugin.shares.service import NewShare
from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver
from tests.support.links import UNKNOWN, shared

DAY = timedelta(days=1)
MONTH = 30 * DAY


@pytest.fixture
def dserver(make_dserver) -> Dserver:
    """A dserver on a bucket: no store has a part in this."""
    return make_dserver()


@pytest.fixture
def uri(dserver) -> DatasetURI:
    deposit = Deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return DatasetURI.parse(f"{dserver.base_uri}/{deposit.uuid}")


def rows_of(uri: DatasetURI, number: int, **values: Any) -> list[dict[str, Any]]:
    """Rows of shares that bob created, one a second, of which the last still work."""
    now = datetime.now(timezone.utc)
    row = sql_db.session.execute(select(Share.__table__)).mappings().one()
    return [
        {
            **row,
            "id": f"{index:016x}",
            "token_hash": f"{index:064x}",
            "created_at": now - timedelta(seconds=number - index),
            "ends_at": now + DAY,
            **values,
        }
        for index in range(number)
    ]


def add(rows: list[dict[str, Any]]) -> None:
    sql_db.session.execute(insert(Share.__table__), rows)
    sql_db.session.commit()


def clean(dserver: Dserver) -> CleanedShares:
    return dserver.services.share_cleanup.run(MONTH)


@on_each_database
def test_shares_are_kept_for_a_time_after_their_end(dserver, uri):
    shared(dserver, str(uri))
    now = datetime.now(timezone.utc)
    with dserver.app.app_context():
        rows = rows_of(uri, 5)
        rows[0]["ends_at"] = now - MONTH - DAY
        rows[1]["ends_at"] = now - MONTH + DAY
        rows[2] |= {"ended_at": now - MONTH - DAY, "ended_because": "revoked"}
        rows[3] |= {"ended_at": now - MONTH + DAY, "ended_because": "revoked"}
        add(rows)
        assert clean(dserver) == CleanedShares(ended=0, deleted=2)
        found = dserver.services.shares.page(None, None, None, 100).shares
        assert [one.state for one in found] == ["active", "active", "revoked", "expired"]
        assert clean(dserver) == CleanedShares(ended=0, deleted=0)


@on_each_database
@pytest.mark.parametrize(
    ("lost", "because"), [(Dataset, "dataset-deleted"), (User, "owner-deleted")]
)
def test_what_was_deleted_without_dserver_ends_the_shares(dserver, uri, lost, because):
    visitor = shared(dserver, str(uri))
    with dserver.app.app_context():
        for table in (search_permissions, register_permissions):
            sql_db.session.execute(delete(table))
        gone = Dataset.uri == str(uri) if lost is Dataset else User.username == "bob"
        sql_db.session.execute(delete(lost.__table__).where(gone))
        sql_db.session.commit()
        assert clean(dserver) == CleanedShares(ended=1, deleted=0)
        assert clean(dserver) == CleanedShares(ended=0, deleted=0)
    assert visitor.facts().ended_because == because


@on_each_database
def test_several_clean_up_at_once(dserver, uri):
    shared(dserver, str(uri))
    with dserver.app.app_context():
        add(rows_of(uri, 3000, ends_at=datetime.now(timezone.utc) - 2 * MONTH))

    def clean_in_a_thread(_: int) -> int:
        with dserver.app.app_context():
            return clean(dserver).deleted

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(clean_in_a_thread, range(4))) == 3000


@on_each_database
def test_no_race_exceeds_the_quota(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_SHARES=3)
    deposit = Deposit()
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    uri = DatasetURI.parse(f"{dserver.base_uri}/{deposit.uuid}")

    def create(_: int) -> bool:
        with dserver.app.app_context():
            try:
                dserver.services.shares.create(permit_read("bob", uri.base), uri.uuid, NewShare())
            except TooManyShares:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(12))) == 3


# Ten thousand ---------------------------------------------------------------------------------


class Statements(list[tuple[str, Any]]):
    """The statements that are sent to the database in a ``with`` block."""

    def __enter__(self) -> Statements:
        event.listen(sql_db.engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(sql_db.engine, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.append((statement, parameters))

    def scans(self) -> list[str]:
        """Return the parts of the statements' plans that read the whole table of shares."""
        with sql_db.engine.connect() as connection:
            plans = [
                connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                for statement, parameters in self
                if "signed_url_share" in statement
            ]
        return [line[-1] for plan in plans for line in plan if "SCAN signed_url_share" in line[-1]]


def test_ten_thousand_shares_cost_no_more_statements_than_one(make_dserver):
    dserver = make_dserver(SIGNED_URL_MAX_SHARES=20_000)
    deposit = Deposit()
    DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit)
    uri = DatasetURI.parse(f"{dserver.base_uri}/{deposit.uuid}")
    visitor = shared(dserver, str(uri))
    with dserver.app.app_context():
        shares = dserver.services.shares
        add(rows_of(uri, 10_000))
        permit = permit_read("bob", uri.base)
        with Statements() as creating:
            shares.create(permit, uri.uuid, NewShare())
        with Statements() as opening:
            visits = dserver.services.visits
            visits.open(visits.find(visitor.token))
            assert repository.by_token_hash(UNKNOWN) is None
            repository.count_download(visitor.share.id)
        with Statements() as listing:
            page = shares.own("bob", None, None, 100)
            assert len(shares.own("bob", None, page.next, 100).shares) == 100
            assert len(shares.page(None, None, page.next, 100).shares) == 100
        assert [len(each) for each in (creating, opening, listing)] == [4, 4, 3]
        assert creating.scans() + opening.scans() == []
        sql_db.session.execute(
            sql_db.update(Share).values(ends_at=datetime.now(timezone.utc) - 2 * MONTH)
        )
        sql_db.session.commit()
        with Statements() as cleaning:
            assert clean(dserver).deleted == 10_002
        assert len(cleaning) < 16
        assert sql_db.session.scalar(select(func.count()).select_from(Share)) == 0
