"""Kills the client or dserver at a random moment, and goes on with the same command.

``python -m client.tests.faults 100`` does so a hundred times; a test does it a few times.
Every second time a dataset is deposited, otherwise one is fetched.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from dserver_client.client import Client
from dserver_client.errors import ClientError
from werkzeug.serving import make_server

from client.tests.faults.world import PART, README, contents, pending_uploads, write
from dserver_signed_url_plugin.demo.app import create_app
from dserver_signed_url_plugin.demo.store import LocalStore, free_port
from tests.support.dserver import Bucket, Dserver, in_capitals
from tests.support.proxy import Request, StoreProxy

# What a client's process leaves when its command has succeeded.
DONE = "done"
SECONDS = 120

_processes = multiprocessing.get_context("forkserver")
# Imported once, by the server from which every process is forked.
_processes.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Command:
    """A method of the client, and what it is called with."""

    method: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def serve(config: Mapping[str, Any], port: int) -> None:
    """Be dserver."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # Whoever is killed leaves connections behind; the next one listens at once all the same.
    make_server("127.0.0.1", port, create_app(config), threaded=True).serve_forever()


def run_client(directory: Path, url: str, token: str, command: Command) -> None:
    """Be the client: deposit or fetch."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(directory)
    with Client(url, token) as client:
        try:
            getattr(client, command.method)(*command.arguments, **command.options)
        except ClientError as error:
            sys.exit(str(error))
    (directory / DONE).touch()


@dataclass
class Outcome:
    """What happened: how often what was killed, and what was sent twice."""

    killed: Counter[str] = field(default_factory=Counter)
    sent_twice: list[str] = field(default_factory=list)


class Lab:
    """A dserver in a process of its own, its store behind a proxy, and a client to be killed."""

    def __init__(
        self, directory: Path, dserver: Dserver, config: Mapping[str, Any], proxy: StoreProxy
    ) -> None:
        self.dserver, self._directory, self._config = dserver, directory, config
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.puts: Counter[str] = Counter()
        proxy.before, proxy.after = self._delay, self._count
        self._server: Any = None

    def start_server(self) -> None:
        self._server = _processes.Process(
            target=serve, args=(self._config, self._port), daemon=True
        )
        self._server.start()

    def wait_for_server(self) -> None:
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            with suppress(requests.ConnectionError):
                requests.get(f"{self.url}/config/versions", timeout=10)
                return
            time.sleep(0.05)
        raise AssertionError("dserver does not answer")

    def uri_of(self, name: str) -> str:
        """Return the URI of the only dataset of this name."""
        self.wait_for_server()
        with Client(self.url, self.dserver.tokens["alice"]) as client:
            [found] = [each.uri for each in client.datasets() if each.name == name]
        return found

    def kill_server(self) -> None:
        self._server.kill()
        self._server.join()

    def start(self, command: Command) -> Any:
        """Start a client's process."""
        token = self.dserver.tokens["alice"]
        arguments = (self._directory, self.url, token, command)
        (self._directory / DONE).unlink(missing_ok=True)
        started = _processes.Process(target=run_client, args=arguments, daemon=True)
        started.start()
        return started

    def interrupted(self, command: Command, moment: float, victim: str) -> str:
        """Kill somebody while a command runs, and run it again; tell who was killed.

        :param moment: after how many seconds.
        """
        process = self.start(command)
        time.sleep(moment)
        if not process.is_alive():
            victim = f"{victim}, afterwards"
        if "client" in victim:
            process.kill()
        else:
            self.kill_server()
            self.start_server()
        process.join(SECONDS)
        if not (self._directory / DONE).exists():
            self.wait_for_server()
            self.run(command)
        return victim

    def run(self, command: Command) -> float:
        """Run a client's command to its end, and return how many seconds that takes."""
        started = time.monotonic()
        process = self.start(command)
        process.join(SECONDS)
        assert process.exitcode == 0, (process.exitcode, command)
        return time.monotonic() - started

    def _delay(self, request: Request) -> None:
        # As long as a store nearby takes, so that there are moments to be killed at.
        time.sleep(0.005)

    def _count(self, request: Request) -> None:
        if request.method == "PUT" and "/data/" in request.target:
            parts = urlsplit(request.target)
            number = parse_qs(parts.query).get("partNumber", [""])[0]
            self.puts[f"{parts.path} {number}"] += 1


def survive(
    lab: Lab, directory: Path, kills: int, seed: int, files: Mapping[str, bytes]
) -> Outcome:
    """Deposit and fetch, killing somebody each time; nothing may be lost, or be there twice."""
    outcome = Outcome()
    chance = random.Random(seed)  # noqa: S311 (not used for cryptography)
    source = write(directory / "source", files)
    base_uri = lab.dserver.base_uri
    lab.start_server()
    lab.wait_for_server()
    options = {"name": "undisturbed", "readme": README}
    seconds = {"deposit": lab.run(Command("deposit", (source, base_uri), options))}
    uri = lab.uri_of("undisturbed")
    seconds["fetch"] = lab.run(Command("fetch", (uri, directory / "undisturbed")))

    for number in range(kills):
        victim = chance.choice(("client", "client", "dserver"))
        if number % 2:
            target = directory / f"target-{number}"
            command = Command("fetch", (uri, target))
        else:
            options = {"name": f"deposit-{number}", "readme": README}
            command = Command("deposit", (source, base_uri), options)
            lab.puts.clear()
        moment = chance.uniform(0, seconds[command.method])
        outcome.killed[f"{command.method}: {lab.interrupted(command, moment, victim)}"] += 1
        if number % 2:
            assert contents(target) == files
        else:
            uri = lab.uri_of(f"deposit-{number}")
            assert pending_uploads(lab.dserver) == 0
            outcome.sent_twice += [path for path, times in lab.puts.items() if times > 1]
    lab.kill_server()
    return outcome


@contextmanager
def laboratory(directory: Path, store: LocalStore, settings: Mapping[str, Any]) -> Iterator[Lab]:
    """Set up everything that is killed, and what is not."""
    store.create_bucket("kills")
    bucket = Bucket("kills", store.endpoint, store.access_key, store.secret_key)
    with StoreProxy(bucket) as proxy:
        config = {
            **settings,
            **in_capitals(bucket.settings()),
            **proxy.public_settings(),
            "SIGNED_URL_PART_BYTES": PART,
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{directory}/dserver.db",
        }
        dserver = Dserver(bucket, config)
        yield Lab(directory, dserver, config, proxy)


def some_files(number: int = 20) -> dict[str, bytes]:
    """Return small files, and two empty ones."""
    files = {f"folder/{each}.txt": b"%d" % each * 100 for each in range(number)}
    return {**files, "empty": b"", "folder/empty": b""}


def file_in_parts() -> dict[str, bytes]:
    """Return a file that is sent in three parts."""
    return {"large": os.urandom(2 * PART + 1)}
