"""Servers of dserver on one PostgreSQL behind the front, and clients who measure them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from dservercore import sql_db

from benchmarks.store import BUCKET
from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE, create_app, prepare, tokens
from dserver_signed_url_plugin.demo.settings import DataDirectory
from tests.support import postgresql_server
from tests.support.compose_container import Container
from tests.support.compose_files import DOCKER
from tests.support.front import Front, server_addresses
from tests.support.postgresql_server import PostgreSQL

BASE_URI = f"s3://{BUCKET}"
UPLOAD = f"/signed-urls/upload/{quote(BASE_URI, safe='')}"
FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment()"
TICK = os.sysconf("SC_CLK_TCK")
CLIENTS, SECONDS, TURNS = 16, 4.0, 3
EMPTY = {"relpath": "empty", "size_in_bytes": 0, "hash": "d41d8cd98f00b204e9800998ecf8427e"}


class Refused(Exception):
    """A request was not answered 200."""


class Client:
    """One connection to dserver."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def send(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise Refused(f"{answer.status} {content[:200]!r}")
        return json.loads(content)

    def deposit(self) -> str:
        """Announce and complete a dataset whose one item is empty, so that nothing is sent."""
        items = [{**EMPTY, "utc_timestamp": 1.0}]
        plan = {"uuid": str(uuid4()), "name": "mine", "items": items}
        uri: str = self.send("POST", UPLOAD, {**plan, "hash_function": "md5sum_hexdigest"})["uri"]
        self.send("POST", "/signed-urls/upload-complete", {"uri": uri})
        return uri


Act = Callable[[Client], Any]


@dataclass
class Load:
    """What some clients have done in some seconds."""

    done: int
    per_second: float
    cpu: dict[str, float]  # milliseconds for each act, by program
    connections: int  # the most that PostgreSQL had at once
    idle_in_transaction: int  # the most of them that held a transaction and asked nothing
    refused: Counter[str] = field(default_factory=Counter)


def cpu(process: int) -> float:
    """Return the CPU time of a process and all its children, those that ended too, in seconds."""
    with suppress(FileNotFoundError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return sum(map(int, fields[11:15])) / TICK + sum(cpu(int(child)) for child in children)
    return 0.0


@dataclass
class Cluster:
    """Servers behind the front."""

    front: Front
    processes: Mapping[str, list[int]]
    token: str
    postgresql: PostgreSQL

    def run(self, act: Act, seconds: float = SECONDS, clients: int = CLIENTS) -> Load:
        """Let clients act again and again."""
        done, refused = [0] * clients, Counter[str]()
        ends = time.monotonic() + seconds

        def repeat(number: int) -> None:
            client = Client(self.front.endpoint.removeprefix("http://"), self.token)
            while time.monotonic() < ends:
                try:
                    act(client)
                    done[number] += 1
                except Refused as reason:
                    refused[str(reason)[:3]] += 1
                except OSError as reason:
                    refused[type(reason).__name__] += 1
                    return

        threads = [
            threading.Thread(target=repeat, args=(each,), daemon=True) for each in range(clients)
        ]
        before, started = self._cpu(), time.monotonic()
        for thread in threads:
            thread.start()
        most = self._watch_connections(ends)
        for thread in threads:
            thread.join()
        spent, took = self._cpu(), time.monotonic() - started
        number = max(1, sum(done))
        used = {name: (spent[name] - before[name]) * 1000 / number for name in spent}
        return Load(sum(done), sum(done) / took, used, *most, refused)

    def _cpu(self) -> dict[str, float]:
        return {name: sum(map(cpu, found)) for name, found in self.processes.items()}

    def _watch_connections(self, ends: float) -> tuple[int, int]:
        query = (
            "SELECT count(*), count(*) FILTER (WHERE state = 'idle in transaction') "
            "FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid()"
        )
        most = (0, 0)
        with self.postgresql.connect() as connection:
            while time.monotonic() < ends:
                found = connection.execute(query).fetchone() or (0, 0)
                most = (max(most[0], found[0]), max(most[1], found[1]))
                time.sleep(0.1)
        return most


@dataclass
class Bench:
    """What all clusters share: PostgreSQL, the store, keys and tokens."""

    directory: Path
    postgresql: PostgreSQL
    store_port: int
    settings: Mapping[str, Any]
    database: str
    token: str = ""

    @contextmanager
    def cluster(
        self,
        servers: int = 1,
        workers: int = 1,
        threads: int = 8,
        store_port: int | None = None,
        **settings: Any,
    ) -> Iterator[Cluster]:
        """Start servers, and end them after the block."""
        config = {**self.settings, **self._store(store_port or self.store_port), **settings}
        directory = self.directory / uuid4().hex
        directory.mkdir()
        (directory / "settings.json").write_text(json.dumps(config))
        addresses = server_addresses(servers)
        with ExitStack() as stack:
            started = []
            for address in addresses:
                variables = {
                    "DSERVER_LISTEN": address,
                    "DSERVER_WORKERS": str(workers),
                    "PROMETHEUS_MULTIPROC_DIR": str(directory / f"metrics-{address}"),
                    "DSERVER_THREADS": str(threads),
                    "FLASK_APP": FACTORY,
                    SETTINGS_VARIABLE: str(directory / "settings.json"),
                }
                server = Container([DOCKER / "entrypoint.sh", "serve"], variables, directory)
                started.append((address, stack.enter_context(server)))
            for address, server in started:
                url = f"http://{address}/config/versions"
                server.wait_until(lambda url=url, server=server: server.answers(url))
            limits = {"REQUESTS_PER_SECOND": "100000", "CONNECTIONS": "10000"}
            front = stack.enter_context(Front(directory, addresses, **limits))
            postmaster = self.postgresql.directory / "data" / "postmaster.pid"
            processes = {
                "dserver": [server.process.pid for _, server in started],
                "PostgreSQL": [int(postmaster.read_text().split()[0])],
                "front": [front.container.process.pid],
            }
            yield Cluster(front, processes, self.token, self.postgresql)

    @staticmethod
    def _store(port: int) -> dict[str, str]:
        return {
            f"DTOOL_S3_ENDPOINT_{BUCKET.upper()}": f"http://127.0.0.1:{port}",
            f"DTOOL_S3_ACCESS_KEY_ID_{BUCKET.upper()}": "BENCHMARK",
            f"DTOOL_S3_SECRET_ACCESS_KEY_{BUCKET.upper()}": "secret",
        }


@contextmanager
def bench() -> Iterator[Bench]:
    """Start what all clusters share."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        postgresql = stack.enter_context(postgresql_server.running())
        port_file = directory / "port"
        command = [sys.executable, "-m", "benchmarks.store_server", str(port_file)]
        stack.enter_context(running(command))
        while not port_file.exists():
            time.sleep(0.05)
        database = postgresql.url(postgresql.create())
        settings = DataDirectory.create(directory / "keys").write_settings()
        settings = {**settings, "SQLALCHEMY_DATABASE_URI": database}
        port = int(port_file.read_text())
        app = create_app({**settings, **Bench._store(port)})
        prepare(app, BASE_URI)
        with app.app_context():
            sql_db.engine.dispose()
        token = tokens(app, timedelta(days=1))["alice"]
        yield Bench(directory, postgresql, port, settings, database, token)


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
