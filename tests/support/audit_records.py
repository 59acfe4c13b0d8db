"""Decisions, looked at past dserver: what the log says of them and what the table holds."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from dservercore import sql_db
from sqlalchemy import func, insert, select
from werkzeug.test import TestResponse

from dserver_signed_url_plugin.audit.repository import SignedURLAudit
from dserver_signed_url_plugin.cli.signed_url import signed_url
from tests.support.dserver import Dserver, Person, encoded


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What the log's lines say, without anybody having asked for the level INFO."""
    ours = (line for line in caplog.records if line.name == "dserver_signed_url_plugin.audit")
    return [json.loads(line.getMessage()) for line in ours]


def rows(dserver: Dserver) -> list[dict[str, Any]]:
    """What the table holds, the oldest first, without what only finds it again."""
    hidden = {"id", "base_uri", "tally"}
    columns = [column for column in SignedURLAudit.__table__.columns if column.name not in hidden]
    with dserver.app.app_context():
        found = sql_db.session.execute(select(*columns).order_by(SignedURLAudit.id))
        return [dict(row) for row in found.mappings()]


def written(dserver: Dserver) -> list[tuple[Any, ...]]:
    """Who wanted what, and what came of it."""
    names = ("username", "action", "uri", "reason")
    return [tuple(row[name] for name in names) for row in rows(dserver)]


def write(
    dserver: Dserver, number: int, days_ago: float, uri: str = "s3://lab", share: str | None = None
) -> None:
    """Let decisions have been made some days ago."""
    moment = datetime.now(timezone.utc) - timedelta(days=days_ago)
    row = {"time": moment, "username": "carol", "action": "old", "uri": uri, "outcome": "granted"}
    row["share"] = share
    # Of what these tests write about, a dataset's UUID is the last of its base URI's 37 characters.
    row["base_uri"] = uri if uri.count("/") == 2 else uri[:-37]
    with dserver.app.app_context():
        sql_db.session.execute(insert(SignedURLAudit), [row] * number)
        sql_db.session.commit()


def number_of_rows(dserver: Dserver) -> int:
    """How many decisions the table holds."""
    with dserver.app.app_context():
        return int(sql_db.session.scalar(select(func.count()).select_from(SignedURLAudit)))


def audit(person: Person, uri: str, **query: Any) -> TestResponse:
    """Ask who was granted or refused what."""
    return person.get(f"/signed-urls/audit/{encoded(uri)}", query_string=query)


def run(dserver: Dserver, *arguments: str) -> Any:
    """Type `flask signed_url audit` and so on."""
    return dserver.app.test_cli_runner().invoke(signed_url, ["audit", *arguments])


def check_rows(dserver: Dserver, lines: list[dict[str, Any]]) -> int:
    """Fail unless table and log say the same; return how many decisions."""

    def utc(value: Any) -> Any:
        if not isinstance(value, datetime):
            return value
        moment = value.replace(tzinfo=value.tzinfo or timezone.utc).astimezone(timezone.utc)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    found = [{name: utc(value) for name, value in row.items()} for row in rows(dserver)]
    assert found == lines
    return len(found)
