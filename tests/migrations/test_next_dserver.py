"""Migrations beside a dservercore that is not released: its tables are what it declares.

It is on no package index, so its models are those of the installed one with what it may add.
"""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from tests.support.databases import MIGRATIONS

UPGRADE = f"db upgrade --directory {MIGRATIONS}"
CHECK = f"db check --directory {MIGRATIONS}"
NEXT = """
from dservercore import sql_db
from dservercore.sql_models import Dataset, User
User.nickname = sql_db.Column(sql_db.String(255))
User.email = sql_db.Column(sql_db.String(255), index=True, unique=True)
User.is_active = sql_db.Column(sql_db.Boolean(), nullable=False, default=True)
Dataset.license = sql_db.Column(sql_db.String(64), nullable=False, server_default="none")
Dataset.__table__.c.uri.type = sql_db.String(1024)
class Group(sql_db.Model):
    __module__ = "dservercore.sql_models"
    id = sql_db.Column(sql_db.Integer, primary_key=True)
    owner_id = sql_db.Column(sql_db.Integer, sql_db.ForeignKey("user.id"), nullable=False)
"""
UNKNOWABLE = """
from dservercore import sql_db
from dservercore.sql_models import User
User.orcid = sql_db.Column(sql_db.String(19), nullable=False)
"""


def typed(host, *commands, beside=NEXT):
    done = host.runs(*commands, beside=beside)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def people(host):
    return host.run(text('SELECT username, is_active FROM "user" ORDER BY username'))


def test_an_empty_database_gets_what_the_installed_dservercore_declares(host):
    typed(host, UPGRADE, CHECK, "user add alice")
    assert "group" in host.tables
    assert people(host) == [("alice", True)]


def test_what_is_written_down_as_sql_has_it_too(host):
    script = typed(host, f"{UPGRADE} --sql")
    assert "nickname" in script
    assert "ix_user_email" in script


def test_an_upgrade_adds_what_a_later_dservercore_declares(host):
    host.types("upgrade")
    host.run(text("INSERT INTO \"user\" (username, is_admin) VALUES ('alice', '1')"))
    for _ in range(2):
        typed(host, UPGRADE, CHECK)
    typed(host, "user add bob")
    assert people(host) == [("alice", True), ("bob", True)]
    columns = {column["name"]: column for column in inspect(host.engine).get_columns("dataset")}
    assert columns["uri"]["type"].length == 1024
    assert any(each["unique"] for each in inspect(host.engine).get_indexes("user"))


@pytest.mark.parametrize("command", [CHECK, "db current --directory", "db history --directory"])
def test_no_other_command_adds_anything(host, command):
    host.types("upgrade")
    named = command if MIGRATIONS in command else f"{command} {MIGRATIONS}"
    host.runs(named, beside=NEXT)
    assert "group" not in host.tables
    assert "nickname" not in {each["name"] for each in inspect(host.engine).get_columns("user")}


def test_a_column_whose_value_nobody_knows_is_named(host, new_host):
    host.types("upgrade")
    done = host.runs(UPGRADE, beside=UNKNOWABLE)
    assert done.returncode != 0
    assert "has no column orcid" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    typed(new_host(), UPGRADE, CHECK, beside=UNKNOWABLE)
