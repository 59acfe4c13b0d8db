"""The demo's command as a person or a script starts it: real processes, real ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

COMMAND = Path(sys.executable).with_name("dserver-signed-url-demo")
PATIENCE = 60


class Serve:
    """``dserver-signed-url-demo serve`` on a directory, until the end of the block."""

    def __init__(
        self, data: Path, *options: str, directory: Path | None = None, **variables: str
    ) -> None:
        self.info_file = data / "info.json"
        self.output = data / "output.txt"
        self._command = [COMMAND, "serve", "--data-dir", data / "data", "--workers", "1"]
        self._command += ["--info", self.info_file, *options]
        self.info: dict[str, Any] = {}
        self._environment = {**os.environ, **variables}
        self._directory = directory

    def __enter__(self) -> Serve:
        self.info_file.unlink(missing_ok=True)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE
        while not self.info_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise AssertionError(self.output.read_text())
            time.sleep(0.05)
        self.info = json.loads(self.info_file.read_text())
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def get(self, person: str, path: str) -> requests.Response:
        """Ask dserver as one of the demo's people, or as somebody without a token."""
        known = self.info["tokens"].get(person)
        headers = {} if known is None else {"Authorization": f"Bearer {known}"}
        with requests.Session() as session:
            session.trust_env = False
            return session.get(self.info["base_url"] + path, headers=headers, timeout=PATIENCE)


def listens(url: str) -> bool:
    """Return whether somebody answers there."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def refused(*options: str | Path, code: int = 1, **variables: str) -> str:
    """Return what the command says when it does not start."""
    ended = subprocess.run(
        [COMMAND, "serve", *options],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == code, ended.stdout
    assert "Traceback" not in ended.stdout
    return ended.stdout
