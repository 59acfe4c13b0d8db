"""The last runs of a command: a base URI for which it fails is not hidden by those for others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import event, insert

from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.audit.runs import Run
from tests.support.databases import on_each_database

NOW = datetime.now(timezone.utc)
GOOD, BAD = None, "storage-away"
LAB, TEMP, OLD = "s3://lab", "s3://temp", "s3://old"


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def rows_of(*runs: tuple[str, float, str | None]) -> list[dict[str, Any]]:
    """Return the decisions of runs: for which base URI, how many days ago, and why they failed."""
    return [
        {
            "time": ago(days),
            "username": "",
            "action": "flask lifecycle sweep",
            "uri": base_uri,
            "base_uri": base_uri,
            "outcome": "refused" if reason else "granted",
            "reason": reason,
            "operator": "root",
        }
        for base_uri, days, reason in runs
    ]


@pytest.fixture
def last_run(make_dserver: Callable[..., Any]) -> Callable[..., Run]:
    """Let sweeps have run, and return what is known of the last."""

    def after(*runs: tuple[str, float, str | None]) -> Run:
        dserver = make_dserver()
        with dserver.app.app_context():
            sql_db.session.execute(insert(SignedURLAudit), rows_of(*runs))
            sql_db.session.commit()
            found: dict[str, Run] = dserver.services.audit.last_runs()
        assert found.keys() == {"lifecycle sweep"}
        return found["lifecycle sweep"]

    return after


@on_each_database
def test_a_base_uri_that_fails_is_not_hidden_by_one_that_succeeds_later(last_run):
    runs = ((LAB, 4, GOOD), (TEMP, 4, GOOD), (LAB, 1.1, BAD), (TEMP, 1, GOOD))
    assert last_run(*runs) == Run(ago(1), BAD, ago(4))


def test_a_base_uri_that_never_succeeded_fails_beside_others_that_do(last_run):
    assert last_run((LAB, 0.1, BAD), (TEMP, 0, GOOD)) == Run(ago(0), BAD, ago(0))


def test_a_command_that_never_succeeded_has_no_last_success(last_run):
    assert last_run((LAB, 1, BAD), (LAB, 0, BAD)) == Run(ago(0), BAD, None)


def test_of_several_that_fail_the_one_that_has_failed_for_longest_counts(last_run):
    runs = ((LAB, 9, GOOD), (TEMP, 5, GOOD), (LAB, 1, BAD), (TEMP, 1, BAD), (OLD, 1, GOOD))
    assert last_run(*runs).succeeded_at == ago(9)


def test_a_base_uri_that_succeeds_again_has_not_failed(last_run):
    runs = ((LAB, 1.1, BAD), (TEMP, 1, GOOD), (LAB, 0.1, GOOD), (TEMP, 0, GOOD))
    assert last_run(*runs) == Run(ago(0), GOOD, ago(0))


def test_a_base_uri_that_is_no_longer_swept_counts_no_more(last_run):
    failed_long_ago = ((LAB, 20, GOOD), (LAB, 2.1, BAD), (TEMP, 0, GOOD))
    assert last_run(*failed_long_ago) == Run(ago(0), GOOD, ago(0))
    assert last_run((LAB, 1.9, GOOD), (TEMP, 0, GOOD)).succeeded_at == ago(0)


def test_failures_of_sweeps_that_have_stopped_altogether_go_on_to_count(last_run):
    runs = ((LAB, 30, GOOD), (LAB, 20, BAD), (TEMP, 20, GOOD))
    assert last_run(*runs) == Run(ago(20), BAD, ago(30))


@pytest.mark.database("postgresql", reason="SQLite reads the column of the condition besides")
def test_the_last_runs_are_found_in_the_index_of_commands_alone(make_dserver):
    dserver, plans = make_dserver(), []

    def explain(connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT"):
            for other in ("seqscan", "bitmapscan"):
                connection.exec_driver_sql(f"SET enable_{other} = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plans.extend(plan.scalars())

    with dserver.app.app_context():
        event.listen(sql_db.engine, "before_cursor_execute", explain)
        dserver.services.audit.last_runs()
    assert "Index Only Scan using ix_signed_url_audit_operator" in "\n".join(plans)
