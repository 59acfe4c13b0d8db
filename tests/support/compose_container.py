"""What the containers of docker-compose.yml run, started on this machine instead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.compose_files import DOCKER
from tests.support.dserver import encoded

PATIENCE = 60


class Container:
    """A process that stands for a container: its environment, and its output in a file."""

    def __init__(
        self, command: Sequence[str | Path], variables: Mapping[str, str], directory: Path
    ) -> None:
        self._log = directory / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
        # As in the image, where the environment of the packages comes first on the PATH.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._start = {"args": command, "env": {"PATH": path, **variables}, "cwd": directory}

    def __enter__(self) -> Container:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                **self._start,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            # Told, not killed: then nginx and gunicorn take their workers with them.
            self.stop()

    @property
    def said(self) -> str:
        """What came out of it so far."""
        return self._log.read_text()

    def wait_until(self, ready: Callable[[], Any]) -> None:
        """Return when it is; fail if the process ends first."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def answers(self, url: str) -> bool:
        """Return whether somebody answers there."""
        try:
            return requests.get(url, timeout=5).ok
        except requests.RequestException:
            return False

    def stop(self) -> int:
        """Stop it as Docker does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def run(arguments: Sequence[str], variables: Mapping[str, str], directory: Path) -> str:
    """Run the image's entrypoint to its end; return what it said."""
    with Container([DOCKER / "entrypoint.sh", *arguments], variables, directory) as container:
        assert container.process.wait(PATIENCE) == 0, container.said
        return container.said


@dataclass
class Answer:
    """What came back, said as Flask's test client says it."""

    status_code: int
    json: Any


class Caller:
    """Somebody with a token, who speaks HTTP from outside the containers."""

    def __init__(self, address: str, token: str) -> None:
        self.token = token
        self._address, self._headers = address, {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, **options: Any) -> Answer:
        url = f"{self._address}/signed-urls/{path}"
        answer = requests.request(method, url, headers=self._headers, timeout=PATIENCE, **options)
        return Answer(answer.status_code, answer.json())

    def begin(self, base_uri: str, plan: Any) -> Answer:
        return self.ask("POST", f"upload/{encoded(base_uri)}", json=plan)

    def complete(self, uri: str) -> Answer:
        return self.ask("POST", "upload-complete", json={"uri": uri})

    def read(self, uri: str, **query: Any) -> Answer:
        return self.ask("GET", f"dataset/{encoded(uri)}", params=query)
