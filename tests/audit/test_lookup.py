"""Looking decisions up: over HTTP for who may register, on the shell for operators."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import dservercore.utils
import pytest

from tests.support.audit_records import audit, rows, run, said, write
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import on_each_database
from tests.support.refusals import assert_refused

pytestmark = on_each_database

CLIENT = DtoolDserver()


@pytest.mark.parametrize(
    ("name", "status"), [("alice", 200), ("carol", 200), ("bob", 403), ("dave", 403)]
)
def test_who_may_register_may_see_who_asked(lab, name, status):
    for uri in (lab.base_uri, f"{lab.base_uri}/{Deposit().uuid}"):
        assert audit(getattr(lab, name), uri).status_code == status
    assert audit(lab.nobody, lab.base_uri).status_code == 401
    assert audit(lab.alice, "s3://another-lab").status_code == 403
    assert_refused(audit(lab.alice, f"{lab.base_uri}/my-dataset"), 400, "uri: ")


def test_pages_are_newest_first_and_hang_together(dserver):
    for number in range(5):
        dserver.bob.read(f"{dserver.base_uri}/{Deposit().uuid}", expiry_seconds=number + 1)
    newest_first = [row["uri"] for row in reversed(rows(dserver))]
    seen: list[str] = []
    query: dict[str, int] = {"limit": 2}
    for expected in (2, 2, 1):
        page = audit(dserver.alice, dserver.base_uri, **query).json
        # Its own reading is a decision too, made after the answer; `before` leaves it out.
        seen += [decision["uri"] for decision in page["decisions"]]
        assert len(page["decisions"]) == expected
        query["before"] = page["next"]
    assert page["next"] is None
    assert seen == newest_first


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"before": 0}, {"before": 2**63}]
)
def test_a_page_that_cannot_be_is_refused(lab, query):
    assert_refused(audit(lab.alice, lab.base_uri, **query), 422, next(iter(query)))


def test_a_base_uri_stands_for_all_below_it_and_nothing_beside_it(dserver):
    uri = f"{dserver.base_uri}/{Deposit().uuid}"
    capitals = uri.replace(dserver.bucket.name, dserver.bucket.name.upper())
    for other in (uri, f"{dserver.base_uri}0/{Deposit().uuid}", capitals, dserver.base_uri):
        write(dserver, 1, days_ago=1, uri=other)
    shown = audit(dserver.alice, dserver.base_uri).json["decisions"]
    assert [decision["uri"] for decision in shown] == [dserver.base_uri, uri]
    assert [row["uri"] for row in audit(dserver.alice, uri).json["decisions"]] == [uri]


def test_only_admins_see_addresses(dserver):
    uri = f"{dserver.base_uri}/{Deposit().uuid}"
    dserver.bob.read(uri)
    with dserver.app.app_context():
        dservercore.utils.register_permissions(
            dserver.base_uri,
            {
                "users_with_search_permissions": ["alice"],
                "users_with_register_permissions": ["alice", "admin"],
            },
        )
    for person, address in ((dserver.alice, None), (dserver.admin, "127.0.0.1")):
        for place in (uri, dserver.base_uri):
            decisions = audit(person, place).json["decisions"]
            assert {decision["address"] for decision in decisions} == {address}


def test_what_cannot_be_read_is_found_at_its_bucket(dserver):
    dserver.bob.read(f"{dserver.base_uri}/my-dataset?X-Amz-Signature=secret")
    (decision,) = audit(dserver.alice, dserver.base_uri).json["decisions"]
    assert decision["uri"].startswith(f"{dserver.base_uri}/my-dataset")
    assert "secret" not in decision["uri"]


def test_the_command_shows_the_same_as_the_log(dserver, caplog):
    uri = f"{dserver.base_uri}/{Deposit().uuid}"
    dserver.bob.read(uri)
    dserver.dave.read(uri)
    CLIENT.begin(dserver.alice, dserver.base_uri, Deposit())
    shown = run(dserver, "--json")
    assert shown.exit_code == 0
    assert [json.loads(line) for line in shown.stdout.splitlines()] == said(caplog)[::-1]

    (line,) = run(dserver, "--user", "dave").stdout.splitlines()
    request = said(caplog)[1]["request_id"]
    time = said(caplog)[1]["time"].partition(".")[0]
    assert line == (
        f"{time}Z dave read-dataset refused:permission-denied {uri} from=127.0.0.1 "
        f"request={request}"
    )
    granted = run(dserver, "--user", "alice").stdout
    assert f" alice upload-begin granted {said(caplog)[2]['uri']} items=3 bytes=" in granted
    assert f" until={said(caplog)[2]['expires_at']} " in granted


def test_the_command_takes_what_is_asked_for(dserver):
    uri = f"{dserver.base_uri}/{Deposit().uuid}"
    dserver.bob.read(uri)
    write(dserver, 1, days_ago=2, uri=dserver.base_uri, share="3f2a9c0d1e4b5a67")
    now = datetime.now(timezone.utc)
    for arguments, number in {
        (): 2,
        ("--uri", uri): 1,
        ("--uri", dserver.base_uri): 2,
        ("--uri", "s3://another-lab"): 0,
        ("--user", "carol"): 1,
        ("--share", "3f2a9c0d1e4b5a67"): 1,
        ("--share", "3f2a9c0d1e4b5a68"): 0,
        ("--user", "nobody-of-that-name"): 0,
        ("--since", "24h"): 1,
        ("--since", "3d"): 2,
        ("--since", f"{now - timedelta(days=1):%Y-%m-%d}"): 1,
        ("--since", f"{now - timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"): 2,
        ("--since", f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%S+00:00}"): 0,
        ("--until", "24h"): 1,
        ("--since", "3d", "--until", "2d"): 1,
        ("--since", "24h", "--until", "24h"): 0,
        ("--uri", dserver.base_uri, "--user", "bob", "--since", "24h"): 1,
    }.items():
        shown = run(dserver, *arguments)
        assert (shown.exit_code, len(shown.stdout.splitlines())) == (0, number), arguments

    assert run(dserver, "--user", "carol").stdout.endswith(" share=3f2a9c0d1e4b5a67\n")
    shown = run(dserver, "--limit", "1")
    assert len(shown.stdout.splitlines()) == 1
    assert "There are more" in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--since", "999999d"),
        ("--since", "2026-13-01"),
        ("--uri", "lab"),
        ("--uri", "s3://lab/my-dataset"),
        ("--limit", "0"),
    ],
)
def test_the_command_refuses_what_it_cannot_mean(lab, arguments):
    shown = run(lab, *arguments)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "Traceback" not in shown.output
    assert "uri: " not in shown.output
