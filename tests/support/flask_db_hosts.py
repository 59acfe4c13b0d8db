"""Somebody who runs dserver beside a database, and types `flask db …`; and what tables are like."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from click.testing import Result
from dservercore import sql_db
from flask import Flask
from sqlalchemy import Engine, create_engine, inspect, literal_column, select, table

from dserver_signed_url_plugin.demo.app import create_app
from tests.support.databases import MIGRATIONS
from tests.support.forked_python import run_forked

VERSION_TABLE = "alembic_version_signed_url"
UPLOAD = {
    "uuid": "6f9619ff-8b86-4011-b42d-00c04fc964ff",
    "uri": "s3://lab/6f9619ff-8b86-4011-b42d-00c04fc964ff",
    "base_uri": "s3://lab",
    "name": "my-dataset",
    "creator_username": "alice",
    "created_at": datetime(2024, 1, 15, 14, 30, tzinfo=timezone.utc),
    "manifest_json": "{}",
    "number_of_items": 0,
    "descriptions_json": "{}",
    "fingerprint": "f" * 64,
    "uploader": "alice",
    "staging": "a" * 32,
}


class Host:
    """Whoever runs dserver: a database, an app, and what can be typed."""

    def __init__(self, directory: Path, url: str, settings: Mapping[str, Any]) -> None:
        self._directory = directory
        self._settings = {**settings, "SQLALCHEMY_DATABASE_URI": url}
        self.app: Flask = create_app(self._settings)
        self.engine: Engine = create_engine(url)

    def types(self, command: str, *options: str) -> None:
        """Run `flask db …` with the plugin's migrations, and expect it to succeed."""
        result = self.tries(command, *options)
        assert result.exit_code == 0, result.output

    def tries(self, command: str, *options: str) -> Result:
        """Run it; return what came of it."""
        arguments = ["db", command, "--directory", MIGRATIONS, *options]
        result = self.app.test_cli_runner().invoke(args=arguments)
        with self.app.app_context():
            sql_db.engine.dispose()
        return result

    def types_at_home(self, *commands: str, beside: str = "") -> str:
        """Run `flask db …` as it stands, in a process and a directory of the host's own."""
        done = self.runs(*(f"db {command}" for command in commands), beside=beside)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def runs(self, *commands: str, beside: str = "") -> subprocess.CompletedProcess[str]:
        """Run `flask …` there; `beside` is Python that changes dservercore before."""
        settings = self._directory / "settings.json"
        settings.write_text(json.dumps(self._settings))
        environ = {"PATH": os.environ["PATH"], "DSERVER_DEMO_SETTINGS": str(settings)}
        return run_forked(beside + AT_HOME, commands, self._directory, environ)

    def takes_migrations_of(self, other: Host) -> None:
        """Have the revisions that another host's autogeneration has written."""
        shutil.copytree(other._directory / "migrations", self._directory / "migrations")

    @property
    def own_migrations(self) -> str:
        """What autogeneration wrote for the host."""
        written = sorted((self._directory / "migrations" / "versions").glob("*.py"))
        return "\n".join(path.read_text() for path in written)

    @property
    def tables(self) -> set[str]:
        return set(inspect(self.engine).get_table_names())

    @property
    def version(self) -> Sequence[Any]:
        """Where the plugin's history is."""
        return self.run(select(literal_column("version_num")).select_from(table(VERSION_TABLE)))

    def run(self, statement: Any, *parameters: Any) -> Sequence[Any]:
        with self.engine.begin() as connection:
            found = connection.execute(statement, *parameters)
            return found.all() if found.returns_rows else []


# The host's env.py sets up logging for the whole process.
AT_HOME = """
import sys
from flask.cli import FlaskGroup
from dserver_signed_url_plugin.demo.app import create_app_from_environment
everything = FlaskGroup(create_app=create_app_from_environment)
for command in sys.argv[1:]:
    runner = create_app_from_environment().test_cli_runner()
    result = runner.invoke(everything, args=command.split())
    print(result.stdout, flush=True)
    if result.exit_code:
        sys.exit(f"{command}: {result.output} {result.exception!r}")
"""


def shape(engine: Engine, tables: set[str]) -> dict[str, Any]:
    """What can be seen of tables from outside."""
    seen = inspect(engine)
    lists = ("foreign_keys", "unique_constraints", "check_constraints", "indexes")

    def of(name: str) -> dict[str, Any]:
        columns = {
            column["name"]: [
                str(column["type"]),
                getattr(column["type"], "timezone", None),
                *(column.get(fact) for fact in ("nullable", "default", "autoincrement")),
            ]
            for column in seen.get_columns(name)
        }
        found = {kind: sorted(getattr(seen, f"get_{kind}")(name), key=str) for kind in lists}
        for index in found["indexes"]:
            # The condition of a partial index, which is equal to none but itself on SQLite.
            options = index.get("dialect_options", {}).items()
            index["dialect_options"] = {option: str(value) for option, value in options}
        return {"columns": columns, "key": seen.get_pk_constraint(name), **found}

    return {name: of(name) for name in tables}
