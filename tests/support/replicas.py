"""Several servers of dserver on one database and one store, behind the front, that can be killed.

Each is gunicorn as the image starts it, with a proxy of its own before the store.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from dserver_signed_url_plugin.demo.app import SETTINGS_VARIABLE
from tests.support.compose_files import DOCKER
from tests.support.dserver import Bucket, Dserver, in_capitals
from tests.support.front import Front, server_addresses
from tests.support.proxy import StoreProxy

FACTORY = "dserver_signed_url_plugin.demo.app:create_app_from_environment()"
SECONDS = 60
# What servers on one database share.
SHARED = ("SQLALCHEMY_DATABASE_URI", "SECRET_KEY", "JWT_ALGORITHM", "JWT_PUBLIC_KEY")


class Replica:
    """One server, which runs until the end of a ``with`` block; ``store`` is what it asks."""

    def __init__(
        self,
        address: str,
        config: Mapping[str, Any],
        bucket: Bucket,
        directory: Path,
        **variables: str,
    ) -> None:
        directory.mkdir()
        self.store = StoreProxy(bucket)
        self._address, self._config, self._directory = address, config, directory
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DSERVER_LISTEN": address,
            "DSERVER_WORKERS": "1",
            "PROMETHEUS_MULTIPROC_DIR": str(directory / "metrics"),
            "FLASK_APP": FACTORY,
            SETTINGS_VARIABLE: str(directory / "settings.json"),
            **variables,
        }

    def __enter__(self) -> Replica:
        self.store.__enter__()
        config = {**self._config, **self.store.settings()}
        (self._directory / "settings.json").write_text(json.dumps(config))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.store.__exit__()

    def start(self) -> None:
        """Start it, for the first time or after it was killed."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [DOCKER / "entrypoint.sh", "serve"],
                env=self._environment,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when it answers; fail if it ends first."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(requests.RequestException):
                if requests.get(f"http://{self._address}/config/versions", timeout=5).ok:
                    return
            time.sleep(0.05)
        raise AssertionError((self._directory / "log").read_text())

    def kill(self) -> None:
        """Send SIGKILL to gunicorn and its workers: nothing is tidied up."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Replicas:
    """Some servers behind the front, at ``url``."""

    def __init__(self, dserver: Dserver, directory: Path, number: int = 3, **more: Any) -> None:
        bucket = dserver.bucket
        config = {name: dserver.app.config[name] for name in SHARED}
        config |= {**in_capitals(bucket.settings()), "SIGNED_URL_PROXIES": 1, **more}
        addresses = server_addresses(number)
        self.servers = [
            Replica(address, config, bucket, directory / f"dserver-{each}")
            for each, address in enumerate(addresses)
        ]
        # All clients have one address here.
        variables = {"LOG_FORMAT": "json", "REQUESTS_PER_SECOND": "1000"}
        self._front = Front(directory, addresses, **variables)
        self.url = self._front.endpoint

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all, and return when all answer; end them after the block."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            for server in self.servers:
                server.wait()
            stack.enter_context(self._front)
            yield

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests to this plugin that the front has answered, as it logs them."""
        lines = (line for line in self._front.said.splitlines() if line.startswith("{"))
        found = [json.loads(line) for line in lines]
        return [
            each
            for each in found
            if each["path"].startswith("/signed-urls/") and "/health/" not in each["path"]
        ]
