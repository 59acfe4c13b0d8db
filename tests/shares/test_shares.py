"""Shares: created for registered datasets, within a quota, and ended by whoever may."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from dservercore import sql_db
from sqlalchemy import update

from dserver_signed_url_plugin.permissions import permit_read
from dserver_signed_url_plugin.shares import repository
from dserver_signed_url_plugin.shares.models import Share
from dserver_signed_url_plugin.shares.service import NewShare
from dserver_signed_url_plugin.shares.tokens import token_hash
from dserver_signed_url_plugin.uris import DatasetURI
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.databases import on_each_database

pytestmark = on_each_database


@pytest.fixture(scope="module")
def uri(lab) -> DatasetURI:
    deposit = Deposit()
    assert DtoolDserver().upload(lab.alice, lab.base_uri, deposit).status_code == 200
    return DatasetURI.parse(f"{lab.base_uri}/{deposit.uuid}")


@pytest.fixture
def shares(lab):
    with lab.app.app_context():
        yield lab.services.shares


def test_a_share_is_found_by_its_token_which_is_not_kept(shares, uri):
    created = shares.create(permit_read("alice", uri.base), uri.uuid, NewShare(note="Hi"))
    assert created.token not in repr(created)
    found, _ = repository.by_token_hash(token_hash(created.token))
    assert found == created.share == shares.find(created.share.id)
    assert (found.state, found.owner, found.note) == ("active", "alice", "Hi")
    assert (found.number_of_items, created.items) == (len(FILES), None)
    assert repository.count_download(found.id)
    assert shares.find(found.id).downloads == 1
    assert shares.revoke(found.id, "alice").state == "revoked"
    assert not repository.count_download(found.id)
    page = shares.page(None, str(uri), None, 1)
    assert [s.id for s in page.shares] == [found.id]


def test_the_items_of_shares_that_ended_take_no_space_after_the_next_creation(shares, uri):
    permit, one = permit_read("alice", uri.base), sorted(FILES)[:1]

    def create(**more):
        return shares.create(permit, uri.uuid, NewShare(**more)).share.id

    def listed(*share_ids):
        return [repository.identifiers(share_id) for share_id in share_ids]

    revoked, expired, working = (create(relpaths=one) for _ in range(3))
    used_up, all_items = create(relpaths=one, max_downloads=1), create()
    for share_id in (revoked, all_items):
        shares.revoke(share_id, "alice")
    assert repository.count_download(used_up)
    past = {"ends_at": datetime.now(timezone.utc)}
    sql_db.session.execute(update(Share).where(Share.id == expired).values(past))
    sql_db.session.commit()
    digests = listed(working)
    assert listed(revoked, expired, used_up) == digests * 3
    create()
    assert listed(revoked, expired, used_up, working, all_items) == [b"", b"", b"", *digests, None]
