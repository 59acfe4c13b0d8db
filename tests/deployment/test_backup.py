"""docker/backup.sh and docker/restore.sh, with a real PostgreSQL server and real directories.

There is no Docker Engine: `docker compose` is a program that runs what would run in a container
natively, with the paths, databases and roles of the test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dservercore import sql_db
from sqlalchemy import MetaData, create_engine, make_url

from dserver_signed_url_plugin.services import services
from tests.support.clients import Deposit, DtoolDserver
from tests.support.databases import Database
from tests.support.dserver import Dserver
from tests.support.links import shared
from tests.support.postgresql_server import PostgreSQL

pytestmark = pytest.mark.database("postgresql", reason="the scripts are for PostgreSQL")

DOCKER = Path(__file__).parents[2] / "docker"
# `compose exec -T postgres COMMAND…`, `compose run … --entrypoint PROGRAM keys ARGUMENT…`, and up,
# each also with `--progress quiet`.
COMPOSE = """#!/bin/sh
set -eu
shift
if [ "$1 $2" = "--progress quiet" ]; then shift 2; elif [ "$1" = run ]; then echo Created >&2; fi
case $1 in
    up) exit 0 ;;
    exec) shift 3 ;;
    run)
        while [ "$1" != --entrypoint ]; do shift; done
        program=$2
        shift 3
        set -- "$program" "$@"
        ;;
esac
for argument in "$@"; do
    shift
    case $argument in
        /keys) argument=$KEYS ;;
        --dbname=dserver) argument=--dbname=$DATABASE ;;
        --username=dserver) argument=--username=$ROLE ;;
    esac
    set -- "$@" "$argument"
done
[ "$1" != "${FAILING-}" ] || { echo "$1 failed" >&2; exit 1; }
exec "$@"
"""


class Stack:
    """A checkout with its settings, its database and its keys."""

    def __init__(self, directory: Path, server: PostgreSQL, url: str, role: str) -> None:
        (directory / "bin").mkdir(parents=True)
        (directory / "docker").mkdir()
        for script in ("backup.sh", "restore.sh"):
            shutil.copy(DOCKER / script, directory / "docker" / script)
        (directory / "bin" / "docker").write_text(COMPOSE)
        (directory / "bin" / "docker").chmod(0o755)
        self.directory, self.keys = directory, directory / "keys"
        self.keys.mkdir()
        self._environment = {
            "PATH": f"{directory / 'bin'}:{server.programs}:{os.environ['PATH']}",
            "PGHOST": str(server.directory),
            "DATABASE": str(make_url(url).database),
            "ROLE": role,
            "KEYS": str(self.keys),
        }

    def run(self, script: str, *arguments: Path, **environment: str):
        return subprocess.run(
            [self.directory / "docker" / script, *arguments],
            env=self._environment | environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def stack(make_dserver, postgresql, tmp_path) -> tuple[Stack, Dserver, str]:
    """A stack with a dataset, a share and a pending upload; its dserver; and the dataset's URI."""
    dserver, deposit = make_dserver(), Deposit()
    assert DtoolDserver().upload(dserver.alice, dserver.base_uri, deposit).status_code == 200
    DtoolDserver().begin(dserver.alice, dserver.base_uri, Deposit())
    uri = f"{dserver.base_uri}/{deposit.uuid}"
    shared(dserver, uri)
    url = dserver.app.config["SQLALCHEMY_DATABASE_URI"]
    made = Stack(tmp_path / "old", postgresql, url, "dserver")
    (made.keys / "jwt_key.pem").write_text("private")
    (made.keys / "jwt_key.pub").write_text("public")
    (made.directory / ".env").write_text("SECRET_KEY=geheim\n")
    return made, dserver, uri


@pytest.fixture
def backup(stack, tmp_path) -> Path:
    """A backup of the stack."""
    return backed_up(stack[0], tmp_path / "backups")


@pytest.fixture
def empty(database: Database, postgresql, tmp_path):
    """A new stack, where dserver's role is no superuser; and the URL of its database."""
    url, role = database.create_empty(), "restoring"
    with postgresql.connect() as connection:
        connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"ALTER DATABASE {make_url(url).database} OWNER TO {role}")
    with postgresql.connect(str(make_url(url).database)) as connection:
        connection.execute(f"ALTER SCHEMA public OWNER TO {role}")
    yield Stack(tmp_path / "new", postgresql, url, role), url
    database.drop(url)
    with postgresql.connect() as connection:
        connection.execute(f"DROP ROLE {role}")


def backed_up(stack: Stack, directory: Path) -> Path:
    done = stack.run("backup.sh", directory)
    assert (done.returncode, done.stderr) == (0, "")
    return Path(done.stdout.strip())


def contents(url: str) -> dict[str, set[tuple]]:
    """Every row of every table."""
    engine, metadata = create_engine(url), MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: {tuple(map(str, row)) for row in connection.execute(table.select())}
            for name, table in metadata.tables.items()
        }
    engine.dispose()
    return found


def test_a_backup_is_restored_into_an_empty_stack(stack, backup, empty, make_dserver):
    old, dserver, uri = stack
    new, url = empty
    before = contents(dserver.app.config["SQLALCHEMY_DATABASE_URI"])
    assert all(before[name] for name in ("dataset", "signed_url_share", "pending_upload"))

    done = new.run("restore.sh", backup)
    assert done.returncode == 0, done.stderr
    assert contents(url) == before
    for name in ("jwt_key.pem", "jwt_key.pub"):
        assert (new.keys / name).read_bytes() == (old.keys / name).read_bytes()

    restored = make_dserver(SQLALCHEMY_DATABASE_URI=url)
    assert restored.bob.read(uri).status_code == 200
    with restored.app.app_context():
        assert services().cleanup.older_than(None) != []
        # Numbers go on where they were.
        assert DtoolDserver().begin(restored.alice, restored.base_uri, Deposit())
        sql_db.engine.dispose()


def test_nothing_that_exists_is_overwritten(backup, empty):
    new, url = empty
    (new.keys / "jwt_key.pem").write_text("another")
    refused = new.run("restore.sh", backup)
    assert (refused.returncode, contents(url)) == (1, {})
    assert "other keys" in refused.stderr

    (new.keys / "jwt_key.pem").unlink()
    # What was interrupted after the keys goes on.
    assert new.run("restore.sh", backup, FAILING="pg_restore").returncode == 1
    assert new.run("restore.sh", backup).returncode == 0
    before = contents(url)
    refused = new.run("restore.sh", backup)
    assert (refused.returncode, contents(url)) == (1, before)
    assert "not empty" in refused.stderr


@pytest.mark.parametrize("name", ["database.dump", "keys.tar"])
def test_a_backup_that_was_damaged_is_refused(backup, empty, name):
    new, url = empty
    with (backup / name).open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"?" * 50)
    refused = new.run("restore.sh", backup)
    assert (refused.returncode, contents(url), [*new.keys.iterdir()]) == (1, {}, [])
    assert "not as it was made" in refused.stderr


@pytest.mark.parametrize("program", ["pg_dump", "tar", "pg_restore"])
def test_a_backup_that_fails_leaves_nothing_that_looks_like_one(stack, tmp_path, program):
    done = stack[0].run("backup.sh", tmp_path / "backups", FAILING=program)
    assert done.returncode != 0
    assert [*(tmp_path / "backups").iterdir()] == []


def test_a_backup_is_readable_by_its_owner_only_and_has_the_settings(stack, backup):
    assert (backup / "env").read_text() == (stack[0].directory / ".env").read_text()
    for path in (backup, *backup.iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_it_does_not_matter_where_the_shell_looks_for_directories(stack):
    made = stack[0]
    done = made.run("backup.sh", Path("backups"), CDPATH=str(made.directory))
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).parent == made.directory / "backups"


def test_the_scripts_say_how_they_are_called(stack):
    for script in ("backup.sh", "restore.sh"):
        assert "Usage:" in stack[0].run(script).stderr
