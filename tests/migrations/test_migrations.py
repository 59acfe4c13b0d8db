"""Migrations: what they make is what the models say, and what others made stays as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from dservercore import sql_db
from sqlalchemy import (
    Connection,
    Table,
    select,
    text,
)

from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.deposits.repository import TempShareDeposit
from dserver_signed_url_plugin.uploads.models import AnnouncedManifest, PendingUpload
from tests.support.databases import MIGRATIONS, on_each_database
from tests.support.flask_db_hosts import UPLOAD, VERSION_TABLE, shape

pytestmark = on_each_database

DSERVERS = {"user", "base_uri", "dataset", "search_permissions", "register_permissions"}


def ours() -> set[str]:
    """The tables of the plugin's models; those of the index are none of them."""
    mappers = sql_db.Model.registry.mappers
    return {
        mapper.local_table.name
        for mapper in mappers
        if mapper.class_.__module__.startswith("dserver_signed_url_plugin.")
    }


def counts_for_ever(connection: Connection, name: str) -> bool:
    """Return whether a number is never given out twice, even after its row was deleted."""
    if connection.dialect.name != "sqlite":
        return True
    statement = text("SELECT sql FROM sqlite_master WHERE name = :name")
    return "AUTOINCREMENT" in connection.execute(statement, {"name": name}).scalar_one()


def test_an_empty_database_gets_what_the_models_say(host, new_host):
    host.types("upgrade")
    assert host.tables == DSERVERS | ours() | {VERSION_TABLE}
    host.types("check")

    modelled = new_host()
    with modelled.app.app_context():
        sql_db.create_all()
        sql_db.engine.dispose()
    tables = DSERVERS | ours()
    assert shape(host.engine, tables) == shape(modelled.engine, tables)
    for engine in (host.engine, modelled.engine):
        with engine.connect() as connection:
            assert counts_for_ever(connection, "pending_upload")


def test_what_they_write_down_as_sql_makes_the_same(host, new_host):
    script = host.types_at_home(f"upgrade --sql --directory {MIGRATIONS}")
    assert host.tables == set()
    written = new_host()
    for statement in map(str.strip, script.split(";")):
        if statement not in ("", "BEGIN", "COMMIT"):
            written.run(text(statement))

    host.types("upgrade")
    assert shape(written.engine, written.tables) == shape(host.engine, host.tables)
    assert written.version == host.version != []


def test_down_takes_the_plugins_tables_and_up_brings_them_back(host):
    host.types("upgrade")
    host.run(sql_db.metadata.tables["user"].insert(), {"username": "alice", "is_admin": False})
    for _ in range(2):
        host.run(PendingUpload.__table__.insert(), UPLOAD)
        host.types("downgrade", "base")
        assert host.tables == DSERVERS | {VERSION_TABLE}
        host.types("upgrade")
        host.types("check")
        assert host.run(select(PendingUpload.id)) == []
    assert host.run(text('SELECT username FROM "user"')) == [("alice",)]


def test_up_again_changes_nothing(host):
    host.types("upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(host.engine, host.tables)
    host.types("upgrade")
    assert shape(host.engine, host.tables) == before
    assert len(host.run(select(PendingUpload.id))) == 1


def test_what_temp_share_has_deposited_before_is_taken_from_the_audit(host):
    host.types("upgrade", "0008")
    now = datetime(2026, 11, 20, tzinfo=timezone.utc)
    base, uuids = "s3://tempstore", [str(uuid4()) for _ in range(5)]
    tables = sql_db.metadata.tables
    host.run(tables["base_uri"].insert(), {"id": 1, "base_uri": base})
    for number, uuid in enumerate(uuids[:4]):
        dataset = {"id": number, "base_uri_id": 1, "uuid": uuid, "uri": f"{base}/{uuid}"}
        moments = {"created_at": now.replace(tzinfo=None), "frozen_at": now.replace(tzinfo=None)}
        host.run(
            tables["dataset"].insert(),
            {**dataset, **moments, "name": "one", "creator_username": "root"},
        )
    for number, (uuid, changed) in enumerate(
        [
            (uuids[0], {}),
            (uuids[0], {}),
            (uuids[1], {"username": "alice"}),
            (uuids[2], {"share": "3f2a9c0d1e4b5a67"}),
            (uuids[3], {"outcome": "refused"}),
            # No dataset any more.
            (uuids[4], {}),
        ]
    ):
        decision = {"id": number, "action": "share-create", "username": "", "outcome": "granted"}
        about = {"time": now, "uri": f"{base}/{uuid}", "base_uri": base, "requests": 1}
        host.run(SignedURLAudit.__table__.insert(), {**decision, **about, **changed})
    for _ in range(2):
        host.types("upgrade")
        columns = TempShareDeposit.uri, TempShareDeposit.is_being_deleted
        assert host.run(select(*columns)) == [(f"{base}/{uuids[0]}", False)]
        # Below 0008, the audit does not know what a decision has shared.
        host.types("downgrade", "0007")


def test_an_upload_from_before_counts_as_active_when_it_was_created(host):
    host.types("upgrade", "0002")
    host.run(PendingUpload.__table__.insert(), {**UPLOAD, "pinned": True, "state": "open"})
    host.types("upgrade")
    [(created, active, frozen)] = host.run(
        select(
            PendingUpload.created_at,
            PendingUpload.last_active_at,
            PendingUpload.frozen_manifest_json,
        )
    )
    assert (active, frozen) == (created, None)
    host.types("downgrade", "0002")
    assert len(host.run(select(PendingUpload.id))) == 1


def test_a_manifest_stays_with_its_upload_up_and_down(host):
    columns = PendingUpload.__table__.c
    before = {**UPLOAD, "pinned": True, "state": "open", "manifest_json": '{"items": {}}'}
    after = {**before, "uuid": str(uuid4()), "manifest_json": ""}
    host.types("upgrade", "0005")
    host.run(PendingUpload.__table__.insert(), before)
    host.types("upgrade")
    host.run(PendingUpload.__table__.insert(), after)
    [(number,)] = host.run(select(columns.id).where(columns.uuid == after["uuid"]))
    manifest = {"pending_upload_id": number, "manifest_json": "{}"}
    host.run(AnnouncedManifest.__table__.insert(), manifest)
    host.types("downgrade", "0005")
    assert host.run(select(columns.manifest_json).order_by(columns.id)) == [
        ('{"items": {}}',),
        ("{}",),
    ]


def metadata_of(names: set[str]) -> list[Table]:
    return [sql_db.metadata.tables[name] for name in names]


@pytest.mark.parametrize("kind", ["dserver's tables only", "every table of the app"])
def test_beside_another_history_only_what_is_missing_is_created(host, kind):
    there = DSERVERS if kind == "dserver's tables only" else set(sql_db.metadata.tables)
    sql_db.metadata.create_all(host.engine, metadata_of(there))
    for statement in (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('of-the-host')",
        "CREATE TABLE freezer (shelf INTEGER NOT NULL PRIMARY KEY)",
        "INSERT INTO freezer VALUES (7)",
    ):
        host.run(text(statement))
    before = shape(host.engine, host.tables)

    for _ in range(2):
        host.types("upgrade")
        after = shape(host.engine, host.tables)
        assert after.keys() == before.keys() | ours() | {VERSION_TABLE}
        assert {name: after[name] for name in before} == before
        host.types("check")
        host.types("downgrade", "base")
        assert host.tables >= before.keys() - ours()
    assert host.run(text("SELECT * FROM alembic_version")) == [("of-the-host",)]
    assert host.run(text("SELECT * FROM freezer")) == [(7,)]


def test_whoever_autogenerates_may_use_ours_too(host):
    host.types_at_home("init", "migrate", "upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(host.engine, host.tables - {VERSION_TABLE})
    host.types("upgrade")
    assert shape(host.engine, host.tables - {VERSION_TABLE}) == before
    assert len(host.run(select(PendingUpload.id))) == 1
    host.types("check")
    host.types_at_home("check")


def test_whoever_used_ours_may_autogenerate(host):
    host.types("upgrade")
    host.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(host.engine, host.tables)
    host.types_at_home("init", "migrate", "upgrade", "check")
    # The tables of the index are ones that this host had not created yet.
    assert host.own_migrations.count("op.create_table") == 3
    downwards = host.own_migrations.partition("def downgrade")[0]
    assert "op.drop" not in downwards
    assert {name: shape(host.engine, {name})[name] for name in before} == before
    assert len(host.run(select(PendingUpload.id))) == 1
    assert host.version != []


@pytest.mark.database("postgresql", reason="each history alone is tested on SQLite, too")
@pytest.mark.parametrize("first", ["ours", "their own"])
def test_whoever_wrote_migrations_elsewhere_may_run_both_in_any_order(new_host, first):
    elsewhere, here = new_host(), new_host()
    elsewhere.types_at_home("init", "migrate", "upgrade")
    assert VERSION_TABLE not in elsewhere.own_migrations
    here.takes_migrations_of(elsewhere)
    if first == "ours":
        here.types("upgrade")
    else:
        here.types_at_home("upgrade")
    here.run(PendingUpload.__table__.insert(), UPLOAD)
    before = shape(here.engine, DSERVERS | ours())
    here.types_at_home("upgrade", "check", "upgrade")
    here.types("upgrade")
    here.types("check")
    assert shape(here.engine, DSERVERS | ours()) == before
    assert len(here.run(select(PendingUpload.id))) == 1


def test_a_table_that_does_not_fit_is_named(host, caplog):
    host.types("upgrade")
    host.run(text("ALTER TABLE pending_upload DROP COLUMN manifest_json"))
    assert host.tries("check").exit_code != 0
    assert "manifest_json" in caplog.text


def test_a_checkout_has_them_where_flask_looks(host):
    with from_checkout():
        result = host.app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert result.exit_code == 0, result.output
    assert host.tables == DSERVERS | ours() | {VERSION_TABLE}


@contextmanager
def from_checkout() -> Iterator[None]:
    """Be where a checkout begins."""
    before = Path.cwd()
    os.chdir(Path(__file__).parents[2])
    try:
        yield
    finally:
        os.chdir(before)
