"""docker/postgres/dserver-role.sh, run on a PostgreSQL server as the image's entry point does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import postgresql_server
from tests.support.compose_files import DOCKER, ROOT
from tests.support.postgresql_server import PostgreSQL

SUPERUSERS, DSERVERS = "of-the-superuser", "it's dserver's"
TABLE = "CREATE TABLE dataset (id serial PRIMARY KEY); INSERT INTO dataset DEFAULT VALUES"
RIGHTS = """
    SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls
    FROM pg_roles WHERE rolname = 'dserver'
"""
OWNED = """
    SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba
    WHERE rolname = 'dserver'
"""
MAY_CONNECT = """
    SELECT datname FROM pg_database
    WHERE datallowconn AND has_database_privilege('dserver', datname, 'CONNECT')
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgreSQL]:
    """A cluster as version 0.1.0 made it: dserver is its superuser, and has a table."""
    with postgresql_server.running() as server:
        with server.connect() as connection:
            connection.execute("CREATE DATABASE dserver")
        with server.connect("dserver") as connection:
            connection.execute(TABLE)
        make_role(server)
        yield server


def make_role(server: PostgreSQL) -> None:
    run(server, [DOCKER / "postgres" / "dserver-role.sh"])


def run(server: PostgreSQL, command: list[str | Path], said: str = "") -> None:
    """Run a command as in the container of PostgreSQL."""
    environment = {
        "PATH": f"{server.programs}:{os.environ['PATH']}",
        "PGHOST": str(server.directory),
        "POSTGRES_PASSWORD": SUPERUSERS,
        "DATABASE_PASSWORD": DSERVERS,
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, input=said
    )
    assert (done.returncode, done.stderr) == (0, "")


def has_password(server: PostgreSQL, role: str, password: str) -> bool:
    """Tell whether a role logs in with a password; its verifier is that of RFC 5803."""
    query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    with connected(server, "postgres", "postgres") as connection:
        [verifier] = connection.execute(query, [role]).fetchone()
    iterations, salt, stored = re.match(r"SCRAM-SHA-256\$(\d+):(.+)\$(.+):", verifier).groups()
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(salt), int(iterations)
    )
    key = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(key).digest() == base64.b64decode(stored)


def connected(server: PostgreSQL, user: str, database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(host=str(server.directory), user=user, dbname=database, autocommit=True)


def facts(server: PostgreSQL) -> list[list[tuple[object, ...]]]:
    with connected(server, "postgres", "postgres") as connection:
        return [connection.execute(query).fetchall() for query in (RIGHTS, OWNED, MAY_CONNECT)]


LEAST = [[(False,)], [("dserver",)], [("dserver",)]]


def test_dserver_keeps_its_tables_and_loses_all_other_rights(cluster):
    assert facts(cluster) == LEAST
    with connected(cluster, "dserver", "dserver") as connection:
        assert connection.execute("SELECT id FROM dataset").fetchall() == [(1,)]
        connection.execute("INSERT INTO dataset DEFAULT VALUES")
        # What a migration does.
        connection.execute("ALTER TABLE dataset ADD COLUMN name text")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY dataset TO PROGRAM 'true'")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        connected(cluster, "dserver", "postgres")


def test_a_new_cluster_gets_role_and_database_and_keeps_them(cluster):
    with connected(cluster, "postgres", "postgres") as connection:
        connection.execute("DROP DATABASE dserver")
        connection.execute("DROP ROLE dserver")
    make_role(cluster)
    with connected(cluster, "dserver", "dserver") as connection:
        connection.execute(TABLE)
    make_role(cluster)
    assert facts(cluster) == LEAST
    with connected(cluster, "dserver", "dserver") as connection:
        assert connection.execute("SELECT id FROM dataset").fetchall() == [(1,)]


def test_the_passwords_are_those_of_the_env_file_and_go_back_for_0_1_0(cluster):
    assert has_password(cluster, "postgres", SUPERUSERS)
    assert has_password(cluster, "dserver", DSERVERS)

    going_back = (ROOT / "docs" / "upgrade.rst").read_text().split("*To go back* before")[1]
    [(command, statement)] = re.findall(
        r"exec -T postgres sh -c '(.+)' << 'EOF'\n(.+?)    EOF", going_back, re.DOTALL
    )
    run(cluster, ["sh", "-c", command], statement)
    # 0.1.0 has one password, with which dserver logs in.
    assert has_password(cluster, "dserver", SUPERUSERS)
    make_role(cluster)
    assert has_password(cluster, "dserver", DSERVERS)
