"""Commands in the audit: who did what, where, and what came of it."""

from __future__ import annotations

import signal

import pytest
from dservercore.utils import register_permissions

from dserver_signed_url_plugin.audit.operators import Operator
from dserver_signed_url_plugin.cli.commands import Commands
from dserver_signed_url_plugin.cli.interruptions import explained_interruption
from dserver_signed_url_plugin.cli.lifecycle import lifecycle
from dserver_signed_url_plugin.cli.pending_upload import pending_upload
from dserver_signed_url_plugin.cli.share import share
from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.audit_records import audit, number_of_rows, rows, said
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.dserver_fixtures import dserver_on

ADDRESS = "https://dserver.example.org"
UUID = "550e8400-e29b-41d4-a716-446655440000"
GROUPS = {group.name: group for group in (lifecycle, pending_upload, share, signed_url, temp_share)}
# What only reads, or removes what it has written.
READING = {
    "lifecycle show",
    "pending_upload list",
    "share list",
    "share show",
    "signed_url audit",
    "signed_url doctor",
    "signed_url report",
    "temp_share list",
}


@pytest.fixture(scope="module")
def lab(lab_bucket, jwt_settings, database, jwt_tokens):
    """A dserver whose address is set."""
    settings = {**jwt_settings, "SIGNED_URL_PUBLIC_URL": ADDRESS}
    yield from dserver_on(lab_bucket, settings, database, jwt_tokens)


@pytest.fixture(scope="module")
def uri(lab):
    """The URI of a dataset."""
    deposit = Deposit()
    assert DtoolDserver().upload(lab.alice, lab.base_uri, deposit).status_code == 200
    return f"{lab.base_uri}/{deposit.uuid}"


@pytest.fixture
def operator(monkeypatch):
    """Somebody at the shell."""
    monkeypatch.setenv("SUDO_USER", "olga")
    return Operator.of_process({"SUDO_USER": "olga"})


@pytest.fixture
def run(lab, uri, tmp_path, operator):
    """Run a command; return its exit code and the rows that it has added."""
    (tmp_path / "file").write_text("results")

    def act(line):
        before = number_of_rows(lab)
        words = line.format(base_uri=lab.base_uri, uri=uri, file=tmp_path / "file").split()
        result = lab.app.test_cli_runner().invoke(GROUPS[words[0]], words[1:])
        return result.exit_code, rows(lab)[before:]

    return act


def commands() -> set[str]:
    return {f"{name} {command}" for name, group in GROUPS.items() for command in group.commands}


CHANGING = {
    "lifecycle set {base_uri} --days 1 --ephemeral": "{base_uri}",
    "lifecycle remove {base_uri}": "{base_uri}",
    "lifecycle sweep {base_uri}": "{base_uri}",
    "pending_upload cleanup --older-than 1d": "",
    f"pending_upload delete {UUID}": "",
    "share create {uri} --expires 1h": "{uri}",
    "share revoke 3f2a9c0d1e4b5a67": "",
    "share cleanup": "",
    "signed_url verify {uri} --sample 1": "{uri}",
    "temp_share create {base_uri} {file}": "{base_uri}",
    "temp_share url {uri}": "{uri}",
    "temp_share end 3f2a9c0d1e4b5a67": "",
}


@pytest.mark.parametrize("line", CHANGING)
def test_a_command_that_changes_or_grants_something_ends_as_a_decision(
    line, run, operator, lab, uri
):
    code, added = run(line)
    last = added[-1]
    assert last["action"] == "flask {} {}".format(*line.split()[:2])
    assert last["uri"] == CHANGING[line].format(base_uri=lab.base_uri, uri=uri)
    assert (last["outcome"], last["reason"]) == (
        ("refused", "command-failed") if code else ("granted", None)
    )
    # What it did to datasets and shares is the same operator's.
    assert {(row["operator"], row["host"], row["username"], row["address"]) for row in added} == {
        (operator.login, operator.host, "", None)
    }


def test_every_command_is_recorded_or_known_to_read():
    assert commands() - READING == {" ".join(line.split()[:2]) for line in CHANGING}


@pytest.mark.parametrize(
    "line",
    [
        "pending_upload list",
        "pending_upload cleanup --older-than 1d --dry-run",
        "share list",
        "share cleanup --dry-run",
        "signed_url audit",
        "temp_share list",
        "lifecycle sweep {base_uri} --dry-run",
    ],
)
def test_what_only_reads_is_not_recorded_nor_is_a_dry_run(line, run):
    assert run(line) == (0, [])


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        (f"share create s3://elsewhere/{UUID}", 1, "dataset-not-found"),
        ("share create {uri} --expires 5000d", 2, "lifetime-too-long"),
        ("lifecycle set {base_uri}", 2, "wrong-usage"),
        ("signed_url verify {uri}x", 2, "invalid-field"),
        ("share revoke unknown", 1, "command-failed"),
    ],
)
def test_a_command_that_fails_is_refused_with_the_reason(line, code, reason, run):
    failed, added = run(line)
    assert failed == code
    assert [(row["outcome"], row["reason"]) for row in added] == [("refused", reason)]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_by_a_signal_is_refused_as_after_ctrl_c(ending, lab):
    group = Commands("endless")

    @group.command("clean")
    def clean():
        assert signal.getsignal(ending) is not signal.SIG_DFL
        signal.raise_signal(ending)

    result = lab.app.test_cli_runner().invoke(group, ["clean"])
    # As a shell reports it.
    assert (result.exit_code, result.stdout) == (128 + ending, "")
    last = rows(lab)[-1]
    assert (last["action"], last["outcome"]) == ("flask endless clean", "refused")
    assert last["reason"] == "command-interrupted"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_explains_its_interruption_exits_as_a_shell_reports_it(ending, lab):
    group = Commands("endless")

    @group.command("send")
    def send():
        with explained_interruption("Nothing was begun."):
            signal.raise_signal(ending)

    result = lab.app.test_cli_runner().invoke(group, ["send"])
    assert (result.exit_code, result.stderr) == (128 + ending, "Interrupted. Nothing was begun.\n")
    assert rows(lab)[-1]["reason"] == "command-interrupted"


def test_no_link_that_is_typed_is_recorded(lab, uri, run, caplog):
    created = lab.app.test_cli_runner().invoke(share, ["create", uri])
    token = created.stdout.strip().rpartition("/")[2]
    for line in (f"share revoke {ADDRESS}/signed-urls/s/{token}", f"temp_share url {token}"):
        _, added = run(line)
        assert added != []
        assert token not in str(added)
    assert token not in str(said(caplog))


def test_only_administrators_see_who_and_where_and_the_command_shows_both(lab, uri, run, operator):
    everything = ("users_with_search_permissions", "users_with_register_permissions")
    permissions = {name: ["alice", "admin"] for name in everything}
    with lab.app.app_context():
        register_permissions(lab.base_uri, permissions)
    run("share create {uri}")
    for person, seen in ((lab.alice, [None, None]), (lab.admin, [operator.login, operator.host])):
        decisions = audit(person, uri).json["decisions"]
        last = next(each for each in decisions if each["action"] == "flask share create")
        assert [last["operator"], last["host"]] == seen
    shown = lab.app.test_cli_runner().invoke(signed_url, ["audit"]).stdout
    assert f" {operator.login}@{operator.host} flask share create granted {uri}" in shown


@on_each_database
def test_the_last_run_of_a_command_is_known_and_when_it_last_succeeded(make_dserver):
    dserver = make_dserver()

    def runs():
        with dserver.app.app_context():
            return dserver.services.audit.last_runs()

    assert runs() == {}
    invoke = dserver.app.test_cli_runner().invoke
    assert invoke(lifecycle, ["sweep", dserver.base_uri]).exit_code == 0
    good = runs()["lifecycle sweep"]
    assert (good.reason, good.succeeded_at) == (None, good.ended_at)
    assert invoke(lifecycle, ["sweep", "s3://unknown"]).exit_code == 2
    bad = runs()["lifecycle sweep"]
    assert (bad.reason, bad.succeeded_at) == ("invalid-field", good.ended_at)
    assert bad.ended_at > good.ended_at
    assert runs().keys() == {"lifecycle sweep"}
