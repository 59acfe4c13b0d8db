"""`flask signed_url report`: who deposited and read how much."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta, timezone

import pytest
from dservercore import sql_db
from sqlalchemy import event, insert

from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.cli.signed_url import signed_url
from dserver_signed_url_plugin.cli.temp_share import temp_share
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database

UUIDS = [f"550e8400-e29b-41d4-a716-44665544000{number}" for number in range(3)]
NUMBERS = (
    "deposited_datasets",
    "deposited_items",
    "deposited_bytes",
    "read_datasets",
    "read_urls",
    "read_bytes",
    "read_urls_of_unknown_size",
)


def report(dserver, *arguments):
    result = dserver.app.test_cli_runner().invoke(signed_url, ["report", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def numbers(dserver, *arguments):
    """What --json says, by base URI, kind and name."""
    return {
        (row["base_uri"], row["kind"], row["name"]): [row[name] for name in NUMBERS]
        for row in json.loads(report(dserver, "--json", *arguments))
    }


def decided(dserver, *decisions, **all_of_them):
    now = datetime.now(timezone.utc)
    rows = [
        {
            "time": now,
            "username": "alice",
            "base_uri": "s3://lab",
            "uri": f"s3://lab/{UUIDS[0]}",
            "outcome": "granted",
            "items": None,
            "size_in_bytes": None,
            "share": None,
            "operator": None,
            **all_of_them,
            **decision,
        }
        for decision in decisions
    ]
    with dserver.app.app_context():
        sql_db.session.execute(insert(SignedURLAudit), rows)
        sql_db.session.commit()


def extent(action, items, size, **more):
    return {"action": action, "items": items, "size_in_bytes": size, **more}


@on_each_database
def test_what_people_deposit_and_read_is_counted(dserver, tmp_path):
    deposit = Deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    manifest = dserver.bob.read(uri, details="true").json["items"]
    total = sum(item["size_in_bytes"] for item in manifest.values())
    assert dserver.bob.read(uri).status_code == 200
    assert dserver.bob.read_item(uri, next(iter(manifest))).status_code == 200
    (tmp_path / "file").write_text("results")
    shared = dserver.app.test_cli_runner().invoke(
        temp_share, ["create", dserver.base_uri, str(tmp_path / "file")]
    )
    assert shared.exit_code == 0
    found = numbers(dserver)
    [operator] = [name for _, kind, name in found if kind == "operator"]
    count = len(manifest)
    assert found == {
        (dserver.base_uri, "user", "alice"): [1, count, total, 0, 0, 0, 0],
        (dserver.base_uri, "user", "bob"): [0, 0, 0, 1, 2 * count + 1, 2 * total, 1],
        (dserver.base_uri, "operator", operator): [1, 1, 7, 1, 1, 7, 0],
    }


@on_each_database
def test_a_deposit_counts_once_and_refusals_do_not(dserver):
    once = extent("upload-complete", 3, 300)
    before = datetime.now(timezone.utc) - timedelta(days=40)
    decided(
        dserver,
        # Still being completed (202), completed, and the same answer again.
        extent("upload-complete", None, None),
        once,
        once,
        {**once, "outcome": "refused", "uri": f"s3://lab/{UUIDS[1]}"},
        {**once, "uri": f"s3://lab/{UUIDS[2]}", "time": before},
        {**once, "uri": f"s3://lab/{UUIDS[2]}"},
    )
    assert numbers(dserver) == {("s3://lab", "user", "alice"): [2, 6, 600, 0, 0, 0, 0]}
    assert numbers(dserver, "--since", "30d") == {
        ("s3://lab", "user", "alice"): [1, 3, 300, 0, 0, 0, 0]
    }
    earlier = numbers(dserver, "--since", "50d", "--until", "30d")
    assert earlier == {("s3://lab", "user", "alice"): [1, 3, 300, 0, 0, 0, 0]}
    assert numbers(dserver, "--until", before.isoformat()) == {}


@on_each_database
def test_links_and_operators_have_rows_of_their_own(dserver):
    decided(
        dserver,
        extent("share-download", 1, None, share="3f2a9c0d1e4b5a67"),
        extent("share-open", 3, 300, share="3f2a9c0d1e4b5a67"),
        # Of a version that did not record who it was.
        extent("share-url", 1, 5),
        extent("share-url", 2, 10, operator="olga"),
        extent("share-create", 3, 300, operator="olga", share="3f2a9c0d1e4b5a67"),
        username="",
    )
    assert numbers(dserver) == {
        ("s3://lab", "link", ""): [0, 0, 0, 1, 1, 0, 1],
        ("s3://lab", "operator", ""): [0, 0, 0, 1, 1, 5, 0],
        ("s3://lab", "operator", "olga"): [0, 0, 0, 1, 2, 10, 0],
    }
    lines = report(dserver).splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == [
        "(links)",
        "(operator)",
        "olga (operator)",
    ]
    assert lines[4].startswith("The bytes of 1 URL to")


def test_the_table_has_columns_and_no_name_can_add_lines(dserver):
    decided(dserver, extent("read-dataset", 3, 12345, username="bob\nroot"))
    header, line = report(dserver).splitlines()
    assert header.split()[-6:] == ["DEPOSITED", "ITEMS", "BYTES", "READ", "URLS", "BYTES"]
    assert line.split() == [r"'bob\nroot'", "s3://lab", "0", "0", "0", "1", "3", "12,345"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        # Where semicolons end cells.
        ("bob;=1+1", "bob;'=1+1"),
        ('bob; "=1"', 'bob;\' "=1"'),
        ("bob\n=1+1", "bob\n'=1+1"),
        ("bob; carol-ann", "bob; carol-ann"),
    ],
)
def test_no_name_becomes_a_formula_of_a_spreadsheet(dserver, name, written):
    decided(dserver, extent("read-dataset", 3, 300, username=name))
    [row] = csv.DictReader(io.StringIO(report(dserver, "--csv"), newline=""))
    assert (row["name"], row["read_bytes"]) == (written, "300")


def test_many_decisions_cost_no_more_statements_than_one(dserver):
    statements = []
    with dserver.app.app_context():
        event.listen(sql_db.engine, "before_cursor_execute", lambda *_: statements.append(1))
    decided(dserver, extent("read-dataset", 3, 300))
    counts = []
    for _ in range(2):
        statements.clear()
        report(dserver)
        counts.append(len(statements))
        sizes = [extent("read-dataset", 2**31 - 1, 2**52, username=f"u{n}") for n in range(50)]
        decided(dserver, *sizes)
    assert counts[0] == counts[1]


@on_each_database
def test_sizes_whose_sum_no_integer_of_the_database_holds_are_added_up(dserver):
    decided(dserver, *[extent("read-dataset", 1, 2**62)] * 2)
    assert numbers(dserver)["s3://lab", "user", "alice"][5] == 2**63


def test_nothing_is_a_header(dserver):
    assert len(report(dserver).splitlines()) == 1
    assert json.loads(report(dserver, "--json")) == []


def test_json_and_csv_exclude_each_other(dserver):
    result = dserver.app.test_cli_runner().invoke(signed_url, ["report", "--json", "--csv"])
    assert result.exit_code == 2
