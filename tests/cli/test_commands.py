"""What all commands have in common: no traceback for what an operator can mend, no bar in a log."""

from __future__ import annotations

import pytest
from click import Context, Group
from dservercore import sql_db
from sqlalchemy import text

from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.share import share
from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database

UUID = "550e8400-e29b-41d4-a716-446655440000"
COMMANDS = [
    (temp_share, ["create", "{base_uri}", "{file}"]),
    (temp_share, ["url", f"{{base_uri}}/{UUID}"]),
    (temp_share, ["list"]),
    (temp_share, ["end", f"{{base_uri}}/{UUID}"]),
    (share, ["list"]),
    (share, ["show", "3f2a9c0d1e4b5a67"]),
    (share, ["revoke", "3f2a9c0d1e4b5a67"]),
    (share, ["cleanup"]),
    (pending_upload, ["list"]),
    (pending_upload, ["cleanup", "--older-than", "0"]),
    (pending_upload, ["delete", UUID]),
    (lifecycle, ["sweep", "{base_uri}"]),
    (lifecycle, ["set", "{base_uri}", "--days", "1"]),
    (signed_url, ["audit"]),
    (signed_url, ["audit", "--export"]),
    (signed_url, ["report"]),
]


@pytest.mark.parametrize("group", [temp_share, share, pending_upload, lifecycle, signed_url])
def test_the_help_of_a_group_has_whole_sentences(group):
    everything = Group(commands=[group])
    for command, name in (everything, "flask"), (group, f"flask {group.name}"):
        with Context(command, info_name=name) as context:
            assert "..." not in command.get_help(context).partition("Commands:")[2]


@pytest.fixture
def run(tmp_path):
    """Run a command of a dserver; return its result."""
    file = tmp_path / "one.txt"
    file.write_text("eins")

    def act(dserver, group, arguments):
        typed = [each.format(base_uri=dserver.base_uri, file=file) for each in arguments]
        return dserver.app.test_cli_runner().invoke(group, typed)

    return act


@pytest.mark.parametrize(
    ("group", "arguments"),
    COMMANDS,
    ids=[" ".join([group.name, *what[:2]]) for group, what in COMMANDS],
)
def test_without_tables_every_command_says_how_to_make_them(dserver, run, group, arguments):
    with dserver.app.app_context():
        sql_db.drop_all()
    result = run(dserver, group, arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result.exception
    assert "The database refused (" in result.stderr
    assert "flask db upgrade" in result.stderr
    assert "SELECT" not in result.stderr


@on_each_database
def test_an_option_that_is_no_text_is_refused_with_a_sentence(dserver, run):
    for group, arguments in (
        (share, ["list", "--owner", "\udcff"]),
        (signed_url, ["audit", "--user", "\udcff"]),
        (signed_url, ["audit", "--share", "\udcff"]),
    ):
        result = run(dserver, group, arguments)
        assert (result.exit_code, result.stdout) == (1, ""), result.exception
        assert "'\\udcff' is no text" in result.stderr


@on_each_database
def test_a_database_that_somebody_else_holds_is_said_to_be_busy(make_dserver, database, run):
    dserver = make_dserver(SQLALCHEMY_ENGINE_OPTIONS=database.impatient)
    create = ["create", "{base_uri}", "{file}"]
    with database.locked(dserver.app.config["SQLALCHEMY_DATABASE_URI"]):
        result = run(dserver, temp_share, create)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "it is busy: wait a moment" in result.stderr
    assert "INSERT" not in result.stderr
    assert run(dserver, temp_share, create).exit_code == 0


def test_a_missing_table_is_named_without_a_row(dserver, run):
    with dserver.app.app_context():
        sql_db.session.execute(text("DROP TABLE pending_upload"))
        sql_db.session.commit()
    result = run(dserver, temp_share, ["create", "{base_uri}", "{file}"])
    assert result.exit_code == 1
    assert "pending_upload" in result.stderr
    assert "one.txt" not in result.stderr


def test_a_log_has_no_bar(dserver, run):
    DtoolDserver().begin(dserver.alice, dserver.base_uri, Deposit())
    assert run(dserver, pending_upload, ["cleanup", "--older-than", "0"]).stderr == ""
    remarks = run(dserver, temp_share, ["create", "{base_uri}", "{file}"]).stderr.splitlines()
    assert [line.partition(" ")[0] for line in remarks] == ["Shared", "For", "These"]
    assert run(dserver, lifecycle, ["sweep", "{base_uri}"]).stderr == ""
