"""Starts the store and dserver as processes of their own, and measures what a request costs."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from dservercore import sql_db

from benchmarks.app import COSTS, SETTINGS
from benchmarks.store import BUCKET, CONTROL
from dserver_signed_url_plugin.demo.app import create_app, prepare, tokens
from dserver_signed_url_plugin.demo.settings import DataDirectory

BASE_URI = f"s3://{BUCKET}"
THREADS = 8
_SECONDS_TO_START = 60


@dataclass
class Sample:
    """One request: seconds, counts, bytes, and KiB of memory above what was in use before."""

    seconds: float
    first_byte: float
    cpu: float
    requests: int
    statements: int
    bytes: int
    memory: int | None
    status: int
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Latency:
    """The proxy of benchmarks.client.latency in front of a port, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def bytes(self) -> tuple[int, int]:
        """Return the bytes so far: to the port, and from it."""
        print(file=self._process.stdin, flush=True)
        sent, received = json.loads(self._line())
        return sent, received

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Store:
    """The store of benchmarks.store, in a process of its own."""

    def __init__(self, port: int, latency: Latency | None = None) -> None:
        self.latency = latency
        self.endpoint = f"http://127.0.0.1:{port}"
        # Of users: dserver is near the store.
        self.public_endpoint = f"http://127.0.0.1:{latency.port if latency else port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def requests(self) -> int:
        """Return how many requests it has answered."""
        return int(self._control([])["requests"])

    def again(self) -> int:
        """Return how many bytes of items it got that it had already."""
        return int(self._control([])["again"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def declare(self, objects: Iterator[tuple[str, int, str, Mapping[str, str]]]) -> None:
        """Add objects without bytes: key, size, MD5 and user metadata."""
        self._control([json.dumps(each) for each in objects])

    def _control(self, lines: list[str]) -> Any:
        self._connection.request("POST", CONTROL, "\n".join(lines).encode())
        return json.loads(self._connection.getresponse().read())


class Server:
    """dserver in gunicorn: one worker with eight threads, and the demo's settings."""

    def __init__(
        self, port: int, store: Store, tokens: Mapping[str, str], latency: Latency | None = None
    ) -> None:
        self.port, self.store, self.tokens = port, store, tokens
        # What clients use: measure() does not, so that it measures dserver alone.
        self.url = f"http://127.0.0.1:{latency.port if latency else port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def measure(
        self, method: str, path: str, body: Any = None, user: str = "alice", **headers: str
    ) -> Sample:
        """Send one request, read all of the answer, and return what it cost."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Authorization": f"Bearer {self.tokens[user]}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        # gunicorn closes connections that are idle for some seconds.
        self._connection.close()
        before, asked = self._costs(), self.store.requests()
        started = time.perf_counter()
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        start = answer.read(1)
        first_byte = time.perf_counter() - started
        received = start + answer.read()
        seconds = time.perf_counter() - started
        after, asked = self._costs(), self.store.requests() - asked
        peak, idle = after["peak"], before["resident"]
        return Sample(
            seconds,
            first_byte,
            after["cpu"] - before["cpu"],
            asked,
            after["statements"] - before["statements"],
            len(received),
            None if peak is None or idle is None else max(peak - idle, 0),
            answer.status,
            received,
        )

    def checked(self, method: str, path: str, body: Any = None, **headers: str) -> Sample:
        """Measure a request that has to succeed."""
        sample = self.measure(method, path, body, **headers)
        if sample.status not in (200, 201):
            raise SystemExit(f"{method} {path[:120]}: {sample.status} {sample.body[:400]!r}")
        return sample

    def _costs(self) -> Any:
        self._connection.request("GET", COSTS)
        return json.loads(self._connection.getresponse().read())


@dataclass(frozen=True)
class Site:
    """A directory with the settings and the database of a dserver, and a store beside it."""

    directory: DataDirectory
    store: Store
    tokens: Mapping[str, str]
    latency: float

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """Run dserver as long as the ``with`` block, in a worker that has served nothing yet."""
        environment = {**os.environ, **self._variables()}
        # The working directory may hold another revision than the installed one.
        environment["PYTHONPATH"] = os.getcwd()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            command = [
                *(sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", str(THREADS)),
                *("--config", "python:dserver_signed_url_plugin.demo.gunicorn_settings"),
                *("--bind", f"fd://{listener.fileno()}", "benchmarks.app:create()"),
            ]
            log = self.directory.log("benchmark").open("a")
            with log, _process(command, environment, log, [listener.fileno()]) as process:
                _wait_until(lambda: _answers(port), process, self.directory.path)
                with (
                    _latency(port, self.latency) as latency,
                    closing(Server(port, self.store, self.tokens, latency)) as server,
                ):
                    yield server

    def _variables(self) -> dict[str, str]:
        return {
            SETTINGS: str(self.directory.settings),
            f"DTOOL_S3_ENDPOINT_{BUCKET}": self.store.endpoint,
            f"DTOOL_S3_PUBLIC_ENDPOINT_{BUCKET}": self.store.public_endpoint,
            f"DTOOL_S3_ACCESS_KEY_ID_{BUCKET}": "BENCHMARK",
            f"DTOOL_S3_SECRET_ACCESS_KEY_{BUCKET}": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def site(path: Path, latency: float = 0) -> Iterator[Site]:
    """Start a store and prepare a dserver beside it, in an empty directory.

    :param latency: seconds of a round trip from users to both.
    """
    directory = DataDirectory.create(path)
    app = create_app(directory.write_settings())
    prepare(app, BASE_URI)
    with app.app_context():
        sql_db.engine.dispose()
    port_file = directory.path / "port"
    command = [sys.executable, "-m", "benchmarks.store_server", str(port_file)]
    with ExitStack() as running:
        log = running.enter_context(directory.log("store").open("w"))
        process = running.enter_context(_process(command, dict(os.environ), log))
        _wait_until(port_file.exists, process, directory.path)
        port = int(port_file.read_text())
        proxy = running.enter_context(_latency(port, latency))
        store = running.enter_context(closing(Store(port, proxy)))
        yield Site(directory, store, tokens(app, timedelta(days=1)), latency)


@contextmanager
def _latency(port: int, seconds: float) -> Iterator[Latency | None]:
    """Start a proxy, if there is to be latency."""
    if not seconds:
        yield None
        return
    command = [sys.executable, "-m", "benchmarks.client.latency", str(port), str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield Latency(process)
        finally:
            process.terminate()


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], log: Any, pass_fds: list[int] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, pass_fds=pass_fds or ()
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until(is_ready: Any, process: subprocess.Popen[bytes], logs: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while not is_ready():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit("".join(log.read_text()[-2000:] for log in logs.glob("*.log")))
        time.sleep(0.05)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", COSTS)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
