"""`flask signed_url audit --export`: nothing is left out, whatever interrupts it."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import delete, event, text, update

from dserver_signed_url_plugin.audit.decisions import Decision, Outcome
from dserver_signed_url_plugin.audit.repository import Search, SignedURLAudit, purge
from tests.support.audit_records import run, write
from tests.support.databases import on_each_database
from tests.support.dserver import Dserver

TABLE = SignedURLAudit.__table__


def exported(dserver: Dserver, *arguments: str) -> list[dict]:
    """Export, and return the objects of all lines."""
    result = run(dserver, "--export", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def ids(lines: list[dict]) -> list[int]:
    return [int(line["cursor"].partition("-")[0]) for line in lines]


def execute(dserver: Dserver, statement) -> None:
    with dserver.app.app_context():
        sql_db.session.execute(statement)
        sql_db.session.commit()


def refuse(dserver: Dserver, number: int, moment: datetime) -> None:
    """Let requests without a token have been refused, by a server whose clock says this."""
    kind = {"action": "read-item", "username": "", "uri": "s3://lab", "address": "192.0.2.1"}
    one = Decision(time=moment, outcome=Outcome.REFUSED, reason="not-authenticated", **kind)
    with dserver.app.app_context():
        for _ in range(number):
            dserver.services.audit.record(one)


@pytest.fixture
def filled(dserver) -> Dserver:
    """A dserver with 2,500 decisions."""
    write(dserver, 2500, days_ago=1)
    return dserver


@on_each_database
def test_all_is_exported_oldest_first_and_goes_on_after_any_line(filled):
    lines = exported(filled)
    assert ids(lines) == list(range(1, 2501))
    assert {"time", "username", "action", "uri", "operator", "host"} <= lines[0].keys()
    for place in (0, 999, 2498):
        assert exported(filled, "--after", lines[place]["cursor"]) == lines[place + 1 :]
    assert exported(filled, "--after", lines[-1]["cursor"]) == []
    assert exported(filled, "--after", "") == lines
    first = exported(filled, "--limit", "1200")
    assert first + exported(filled, "--after", first[-1]["cursor"]) == lines


def test_a_search_may_be_exported_too(filled):
    write(filled, 1, days_ago=2, uri="s3://other")
    write(filled, 1, days_ago=1, uri="s3://other")
    assert ids(exported(filled, "--uri", "s3://other", "--since", "36h")) == [2502]


@on_each_database
def test_purged_decisions_do_not_matter(filled):
    cursor = exported(filled, "--limit", "1")[-1]["cursor"]
    execute(filled, delete(TABLE).where(TABLE.c.id <= 2000))
    assert ids(exported(filled, "--after", cursor)) == list(range(2001, 2501))


@on_each_database
def test_an_export_goes_on_after_all_decisions_were_deleted_by_age(dserver):
    write(dserver, 3, days_ago=1)
    cursor = exported(dserver)[-1]["cursor"]
    with dserver.app.app_context():
        assert purge(datetime.now(timezone.utc)) == 2
    assert exported(dserver, "--after", cursor) == []
    write(dserver, 1, days_ago=1)
    assert ids(exported(dserver, "--after", cursor)) == [4]


@on_each_database
@pytest.mark.parametrize(
    "statement",
    [
        delete(TABLE).where(TABLE.c.id > 100),
        update(TABLE).values(time=datetime(2026, 1, 1, tzinfo=timezone.utc)),
    ],
    ids=["with fewer decisions", "with as many"],
)
def test_the_cursor_of_a_table_that_was_replaced_is_refused(filled, statement):
    cursor = exported(filled, "--limit", "200")[-1]["cursor"]
    execute(filled, statement)
    refused = run(filled, "--export", "--after", cursor)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "the database was replaced" in refused.stderr


@pytest.mark.parametrize("cursor", ["1", "x", "-1", "1-20261399T000000000000Z", "9" * 30])
def test_what_is_no_cursor_is_refused(dserver, cursor):
    refused = run(dserver, "--export", "--after", cursor)
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_a_cursor_needs_an_export(dserver):
    assert run(dserver, "--after", "").exit_code == 2


@on_each_database
@pytest.mark.parametrize("clock", [timedelta(days=-1), timedelta(days=1)], ids=str)
def test_refusals_are_exported_once_whatever_the_clock_of_their_server(dserver, clock):
    moment = datetime.now(timezone.utc) + clock
    refuse(dserver, 2, moment)
    write(dserver, 1, days_ago=0)
    lines = exported(dserver)
    assert [line["requests"] for line in lines] == [2, 1]
    refuse(dserver, 3, moment)
    assert [line["requests"] for line in exported(dserver, "--after", lines[-1]["cursor"])] == [3]
    assert [line["requests"] for line in exported(dserver)] == [2, 1, 3]


@pytest.mark.database("postgresql", reason="SQLite has one writer at a time")
def test_refusals_that_are_counted_during_an_export_are_exported_once(dserver):
    moment = datetime.now(timezone.utc)
    requests, place = [], None
    with ThreadPoolExecutor(3) as pool, dserver.app.app_context():
        counted = [pool.submit(refuse, dserver, 50, moment) for _ in range(3)]
        while True:
            is_last = all(each.done() for each in counted)
            for each in chain(*dserver.services.audit_export.pages(Search(), place)):
                requests.append(each.decision.requests)
                place = each.cursor
            if is_last:
                break
    assert sum(requests) == 150


@pytest.mark.database("postgresql", reason="SQLite has one writer at a time")
def test_no_decision_is_left_out_that_commits_after_a_later_one(dserver):
    write(dserver, 1, days_ago=1)
    columns = "(time, username, action, uri, outcome) VALUES (now(), '', 'late', '', 'granted')"
    looks = threading.Semaphore(0)

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "pg_locks" in statement:
            looks.release()

    with dserver.app.app_context(), sql_db.engine.connect() as late:
        late.execute(text(f"INSERT INTO signed_url_audit {columns}"))
        write(dserver, 1, days_ago=1)
        with ThreadPoolExecutor(1) as pool:
            event.listen(sql_db.engine, "after_cursor_execute", look)
            export = pool.submit(exported, dserver)
            # It looks again for as long as it waits.
            assert [looks.acquire(timeout=60) for _ in range(3)] == [True] * 3
            # Whoever begins to write now is not waited for.
            with sql_db.engine.connect() as later:
                later.execute(text(f"INSERT INTO signed_url_audit {columns}"))
                late.commit()
                assert ids(export.result(timeout=60)) == [1, 2, 3]


def test_memory_does_not_grow_with_the_number_of_decisions(filled):
    def pages() -> Iterator[int]:
        with filled.app.app_context():
            for page in filled.services.audit_export.pages(Search(), None):
                yield len(page)

    def peak() -> int:
        tracemalloc.reset_peak()
        list(pages())
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak()
        few = peak()
        write(filled, 7500, days_ago=1)
        # Four times as many decisions.
        assert peak() < 2 * few
    finally:
        tracemalloc.stop()


def test_without_an_audit_there_is_nothing_to_export(make_dserver):
    refused = run(make_dserver(SIGNED_URL_AUDIT_DAYS=0), "--export")
    assert (refused.exit_code, "SIGNED_URL_AUDIT_DAYS" in refused.stderr) == (1, True)
