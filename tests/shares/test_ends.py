"""Shares end with their dataset and their owner, whoever deletes these, and never come back."""

from __future__ import annotations

from typing import Any

import pytest
from dservercore import sql_db
from dservercore.cli import user_cli
from dservercore.sql_models import Dataset
from sqlalchemy import delete, text

from dserver_signed_url_plugin.shares.facts import ShareFacts
from dserver_signed_url_plugin.shares.models import Share
from tests.support.clients import FILES, Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver, encoded
from tests.support.links import Visitor, shared


@pytest.fixture
def dserver(make_dserver) -> Dserver:
    """A dserver on a bucket: no store has a part in this."""
    return make_dserver()


@pytest.fixture
def uri(dserver) -> str:
    return deposited(dserver)


def deposited(dserver: Dserver) -> str:
    deposit = Deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    return f"{dserver.base_uri}/{deposit.uuid}"


def ask(dserver: Dserver, name: str, method: str, path: str, json: Any = None) -> None:
    """Send a request to a route of dserver itself, which must succeed."""
    headers = {"Authorization": f"Bearer {dserver.tokens[name]}"}
    answer = dserver.app.test_client().open(path, method=method, headers=headers, json=json)
    assert answer.status_code in (200, 201), answer.text


def register(dserver: Dserver, uri: str, frozen_at: float | None = None) -> None:
    """Register a dataset again, as `flask base_uri index` does, perhaps with other contents."""
    with dserver.app.app_context():
        found = sql_db.session.scalar(sql_db.select(Dataset).filter_by(uri=uri))
        known = found.as_dict() if found else REGISTERED[uri]
    REGISTERED[uri] = known
    info = {
        **{name: known[name] for name in ("base_uri", "uri", "uuid", "name", "creator_username")},
        "type": "dataset",
        "readme": "",
        "manifest": {"items": {}, "dtoolcore_version": "3.19.0", "hash_function": "md5"},
        "frozen_at": str(frozen_at or known["frozen_at"]),
        "created_at": str(known["created_at"]),
        "annotations": {},
        "tags": [],
        "number_of_items": known["number_of_items"],
        "size_in_bytes": known["size_in_bytes"],
    }
    ask(dserver, "alice", "PUT", f"/uris/{encoded(uri)}", info)


REGISTERED: dict[str, Any] = {}


def permit(dserver: Dserver, *names: str) -> None:
    """Let these users, and no others, read."""
    names_of = {
        "users_with_search_permissions": names,
        "users_with_register_permissions": ["alice"],
    }
    ask(dserver, "admin", "PUT", f"/base-uris/{encoded(dserver.base_uri)}", names_of)


def ended(visitor: Visitor) -> tuple[str, str | None]:
    facts: ShareFacts = visitor.facts()
    assert (visitor.open().status_code == 200) == (facts.state == "active")
    return facts.state, facts.ended_because


@on_each_database
def test_a_deleted_dataset_ends_its_shares_also_when_it_is_registered_anew(dserver, uri):
    visitor, other = shared(dserver, uri), shared(dserver, deposited(dserver))
    register(dserver, uri)
    assert ended(visitor) == ("active", None)
    ask(dserver, "alice", "DELETE", f"/uris/{encoded(uri)}")
    assert ended(visitor) == ("unavailable", "dataset-deleted")
    register(dserver, uri)
    assert ended(visitor) == ("unavailable", "dataset-deleted")
    assert ended(shared(dserver, uri)) == ("active", None)
    assert ended(other) == ("active", None)


def test_another_dataset_of_the_same_uri_is_not_shared(dserver, uri):
    visitor = shared(dserver, uri)
    register(dserver, uri, frozen_at=1_500_000_000.0)
    assert ended(visitor) == ("unavailable", None)


def delete_by_route(dserver: Dserver, name: str) -> None:
    ask(dserver, "admin", "DELETE", f"/users/{name}")


def delete_by_command(dserver: Dserver, name: str) -> None:
    done = dserver.app.test_cli_runner().invoke(user_cli, ["delete", name])
    assert (done.exit_code, done.output) == (0, "")


@on_each_database
@pytest.mark.parametrize("delete", [delete_by_route, delete_by_command])
def test_a_deleted_user_ends_their_shares_and_leaves_none_to_the_next_of_the_name(
    dserver, uri, delete
):
    # Twice, because SQLite gives the ID of its last user to the next one.
    for _ in range(2):
        visitor = shared(dserver, uri)
        delete(dserver, "bob")
        assert ended(visitor) == ("unavailable", "owner-deleted")
        ask(dserver, "admin", "PUT", "/users/bob", {"is_admin": False})
        permit(dserver, "alice", "bob")
        assert ended(visitor) == ("unavailable", "owner-deleted")
        assert dserver.bob.get("/signed-urls/shares").json["shares"] == []


def test_an_account_of_the_same_name_inherits_nothing_whatever_was_missed(dserver, uri):
    visitor = shared(dserver, uri)
    with dserver.app.app_context():
        sql_db.session.execute(sql_db.update(Share).values(owner_id=Share.owner_id + 1000))
        sql_db.session.commit()
    assert ended(visitor) == ("unavailable", None)
    assert dserver.bob.get("/signed-urls/shares").json["shares"] == []
    assert dserver.bob.delete(f"/signed-urls/shares/{visitor.share.id}").status_code == 404


def test_a_share_does_not_work_while_its_owner_may_not_read(dserver, uri):
    visitor = shared(dserver, uri)
    permit(dserver, "alice")
    assert ended(visitor) == ("unavailable", None)
    permit(dserver, "alice", "bob")
    assert ended(visitor) == ("active", None)


def test_users_can_be_deleted_before_the_migration_was_run(dserver):
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE signed_url_share"))
        sql_db.session.commit()
    delete_by_route(dserver, "bob")
    assert "bob" not in dserver.admin.get("/users").text


@on_each_database
def test_datasets_can_be_deleted_before_the_migration_was_run(dserver, uri):
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE signed_url_share"))
        sql_db.session.commit()
    ask(dserver, "alice", "DELETE", f"/uris/{encoded(uri)}")
    with dserver.app.app_context():
        assert dserver.app.search.search({"base_uris": [dserver.base_uri]}) == []
        assert sql_db.session.scalars(sql_db.select(Dataset)).all() == []


def test_a_share_that_is_deleted_while_somebody_opens_it_shows_nothing_else(dserver, uri):
    visitor = shared(dserver, uri, relpaths=[next(iter(FILES))])
    with dserver.app.app_context():
        visits = dserver.services.visits
        facts = visits.find(visitor.token)
        sql_db.session.execute(delete(Share.__table__))
        sql_db.session.commit()
        opened = visits.open(facts)
        assert not visits.items(opened)
