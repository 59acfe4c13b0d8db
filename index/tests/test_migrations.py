"""Migrations of the index: what they make is what the tables say, beside any other history."""

from __future__ import annotations

from datetime import datetime

import pytest
from dserver_sql_index.tables import NAMES, VERSION_TABLE, datasets
from dservercore import sql_db
from sqlalchemy import select

from tests.support.databases import INDEX_MIGRATIONS, on_each_database
from tests.support.flask_db_hosts import VERSION_TABLE as PLUGINS_VERSION_TABLE
from tests.support.flask_db_hosts import Host, shape

pytestmark = on_each_database

ROW = {
    "uri": "s3://lab/x",
    "base_uri": "s3://lab",
    "uuid": "x",
    "name": "x",
    "creator_username": "x",
    "created_at": datetime(2024, 1, 15),  # noqa: DTZ001 (as dserver stores them)
    "frozen_at": datetime(2024, 1, 15),  # noqa: DTZ001
    "number_of_items": 0,
    "size_in_bytes": 0,
    "other_json": "{}",
    "tags_json": "[]",
    "annotations_json": "{}",
    "readme_json": '""',
    "manifest_json": "{}",
}


def migrate(host: Host, command: str, *options: str) -> str:
    """Run `flask db …` with the migrations of the index, and expect it to succeed."""
    arguments = ["db", command, "--directory", INDEX_MIGRATIONS, *options]
    result = host.app.test_cli_runner().invoke(args=arguments)
    with host.app.app_context():
        sql_db.engine.dispose()
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_empty_database_gets_the_tables_of_the_index_and_no_other(host, new_host):
    migrate(host, "upgrade")
    assert host.tables == NAMES | {VERSION_TABLE}
    migrate(host, "check")

    modelled = new_host()
    with modelled.app.app_context():
        sql_db.create_all()
        sql_db.engine.dispose()
    assert shape(host.engine, NAMES) == shape(modelled.engine, NAMES)


def test_up_again_changes_nothing_and_down_leaves_nothing(host):
    for _ in range(2):
        migrate(host, "upgrade")
        before = shape(host.engine, host.tables)
        host.run(datasets.insert(), ROW)
        migrate(host, "upgrade")
        assert shape(host.engine, host.tables) == before
        assert len(host.run(select(datasets.c.id))) == 1
        migrate(host, "downgrade", "base")
        assert host.tables == {VERSION_TABLE}


@pytest.mark.parametrize("first", ["index", "plugin"])
def test_the_plugins_migrations_and_these_do_not_see_each_other(host, first):
    steps = [lambda: migrate(host, "upgrade"), lambda: host.types("upgrade")]
    for step in steps if first == "index" else reversed(steps):
        step()
    migrate(host, "check")
    host.types("check")
    before = host.tables
    assert {VERSION_TABLE, PLUGINS_VERSION_TABLE} < before
    host.types("downgrade", "base")
    assert host.tables >= NAMES | {VERSION_TABLE}
    host.types("upgrade")
    migrate(host, "downgrade", "base")
    assert host.tables == before - NAMES


def test_whoever_autogenerates_may_use_these_in_any_order(new_host):
    elsewhere, here = new_host(), new_host()
    as_sql = f"upgrade --sql --directory {INDEX_MIGRATIONS}"
    script = elsewhere.types_at_home(as_sql, "init", "migrate", "upgrade")
    assert all(f"CREATE TABLE IF NOT EXISTS {name}" in script for name in NAMES)

    here.takes_migrations_of(elsewhere)
    migrate(here, "upgrade")
    here.run(datasets.insert(), ROW)
    before = shape(here.engine, here.tables)
    here.types_at_home("upgrade", "check", "migrate")
    assert here.own_migrations == elsewhere.own_migrations
    migrate(here, "upgrade")
    migrate(here, "check")
    assert {name: shape(here.engine, {name})[name] for name in before} == before
    assert len(here.run(select(datasets.c.id))) == 1
