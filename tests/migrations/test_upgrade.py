"""From 0.1.0 to this version and back, with data, while a server of 0.1.0 goes on."""

from __future__ import annotations

from datetime import datetime, timezone

import flask_migrate
import pytest
from dservercore import sql_db
from sqlalchemy import MetaData, func, select, text

from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.audit_records import run
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import MIGRATIONS
from tests.support.documentation import code_blocks
from tests.support.flask_db_hosts import UPLOAD, shape
from tests.support.links import shared

pytestmark = pytest.mark.database("postgresql", reason="the database of installations")

CLIENT = DtoolDserver()
# The last revision of version 0.1.0.
OLD = "0009"
DECISION = {
    "username": "alice",
    "action": "read-item",
    "uri": "s3://lab",
    "base_uri": "s3://lab",
    "outcome": "granted",
    "time": datetime(2026, 11, 20, tzinfo=timezone.utc),
}


def old_table(dserver, name):
    """A table as 0.1.0 knows it."""
    with dserver.app.app_context():
        metadata = MetaData()
        metadata.reflect(sql_db.engine, only=[name])
        return metadata.tables[name]


def execute(dserver, statement, values=None):
    with dserver.app.app_context():
        sql_db.session.execute(statement, values)
        sql_db.session.commit()


def migrate(dserver, step, revision):
    with dserver.app.app_context():
        sql_db.session.remove()
        step(MIGRATIONS, revision)


def counts(dserver):
    with dserver.app.app_context():
        names = ("dataset", "pending_upload", "signed_url_share", "signed_url_audit")
        tables = (sql_db.metadata.tables[name] for name in names)
        return [sql_db.session.scalar(select(func.count()).select_from(table)) for table in tables]


def test_data_of_0_1_0_is_used_and_its_servers_go_on_during_the_upgrade(make_dserver):
    dserver, done, begun = make_dserver(), Deposit(), Deposit()
    assert CLIENT.upload(dserver.alice, dserver.base_uri, done).status_code == 200
    grant = CLIENT.begin(dserver.alice, dserver.base_uri, begun)
    uri = f"{dserver.base_uri}/{done.uuid}"
    visitor = shared(dserver, uri)
    migrate(dserver, flask_migrate.downgrade, OLD)
    audit, before = old_table(dserver, "signed_url_audit"), counts(dserver)
    assert {"operator", "host"}.isdisjoint(audit.columns.keys())

    migrate(dserver, flask_migrate.upgrade, "head")
    assert counts(dserver) == before
    # A server of 0.1.0 names the columns that it knows.
    execute(dserver, audit.insert(), DECISION)
    CLIENT.put(grant, begun)
    assert dserver.alice.complete(grant["uri"]).status_code == 200
    assert dserver.bob.read(uri).status_code == 200
    assert visitor.open().status_code == 200
    assert " alice read-item granted s3://lab" in run(dserver, "--user", "alice").stdout

    # And back: what operators did stays, without who they were.
    clean_up = ["cleanup", "--older-than", "1d"]
    assert dserver.app.test_cli_runner().invoke(pending_upload, clean_up).exit_code == 0
    before = counts(dserver)
    migrate(dserver, flask_migrate.downgrade, OLD)
    assert counts(dserver) == before
    execute(dserver, audit.insert(), DECISION)


def test_what_the_upgrade_adds_to_a_large_table_can_be_added_before_it(make_dserver):
    dserver, name = make_dserver(), "signed_url_audit"
    with dserver.app.app_context():
        engine = sql_db.engine
    complete = shape(engine, {name})
    migrate(dserver, flask_migrate.downgrade, OLD)
    assert shape(engine, {name}) != complete
    [script] = code_blocks("sql", "docs/upgrade.rst", "From 0.1.0 to 0.2.0")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in script.strip().rstrip(";").split(";"):
            connection.execute(text(statement))
    assert shape(engine, {name}) == complete
    migrate(dserver, flask_migrate.upgrade, "head")
    assert shape(engine, {name}) == complete


def test_a_very_early_version_is_upgraded_in_one_step(make_dserver):
    dserver = make_dserver()
    migrate(dserver, flask_migrate.downgrade, "base")
    migrate(dserver, flask_migrate.upgrade, "0002")
    upload = {**UPLOAD, "pinned": True, "state": "open"}
    execute(dserver, old_table(dserver, "pending_upload").insert(), upload)
    early = {name: value for name, value in DECISION.items() if name != "base_uri"}
    execute(dserver, old_table(dserver, "signed_url_audit").insert(), early)
    migrate(dserver, flask_migrate.upgrade, "head")
    with dserver.app.app_context():
        assert [row.uuid for row in sql_db.session.scalars(select(PendingUpload))] == [
            UPLOAD["uuid"]
        ]
        [decision] = sql_db.session.scalars(select(SignedURLAudit)).all()
        assert (decision.base_uri, decision.operator) == ("s3://lab", None)
    assert CLIENT.upload(dserver.alice, dserver.base_uri, Deposit()).status_code == 200
