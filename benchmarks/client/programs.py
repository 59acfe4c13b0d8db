"""The programs that are compared: each deposits or fetches, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import dtoolcore
import requests

from benchmarks.client.announcement import announcement
from benchmarks.server import BASE_URI, Server
from benchmarks.store import BUCKET

_AT_ONCE = "64"  # of curl's transfers; as many as the client's


@dataclass(frozen=True)
class Used:
    """What a program used: seconds, seconds of CPU, and bytes of memory at its peak."""

    seconds: float
    cpu: float
    memory: int
    output: str = ""


class Machine:
    """The user's machine: dserver's address, a token, and a home directory."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home = server, home
        self.url = server.url
        self._headers = {"Authorization": f"Bearer {server.tokens['alice']}"}

    def environment(self) -> dict[str, str]:
        """Return the variables of its programs: a token for dserver, and keys for the store."""
        directories = {f"XDG_{kind}_HOME": str(self.home) for kind in ("CONFIG", "STATE", "CACHE")}
        inherited = dict(os.environ)
        # Otherwise each would compile its modules anew.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **inherited,
            **directories,
            "HOME": str(self.home),
            "DSERVER_URL": self.url,
            "DSERVER_TOKEN": self.server.tokens["alice"],
            f"DTOOL_S3_ENDPOINT_{BUCKET}": self.server.store.public_endpoint,
            f"DTOOL_S3_ACCESS_KEY_ID_{BUCKET}": "BENCHMARK",
            f"DTOOL_S3_SECRET_ACCESS_KEY_{BUCKET}": "secret",
            "DTOOL_CACHE_DIRECTORY": str(self.home),
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": os.getcwd(),
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, command: Sequence[str]) -> Used:
        """Run a program to its end."""
        with tempfile.TemporaryDirectory() as directory:
            result = Path(directory, "used.json")
            launcher = [sys.executable, "-S", "-m", "benchmarks.client.launcher", str(result)]
            done = subprocess.run(
                [*launcher, *command],
                env=self.environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
            return Used(**json.loads(result.read_text()), output=done.stdout)

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Send dserver a request that has to succeed."""
        url = f"{self.url}/signed-urls/{path}"
        answer = requests.request(method, url, json=body, headers=self._headers, timeout=600)
        answer.raise_for_status()
        return answer


class Program(Protocol):
    """One of the programs that are compared."""

    name: str

    def deposit(self, machine: Machine, directory: Path) -> tuple[Used, str]:
        """Deposit a directory; return what was used, and the URI of the dataset."""

    def fetch(self, machine: Machine, uri: str, to: Path) -> Used:
        """Fetch a dataset into a directory that does not exist; return what was used."""


class DserverClient:
    """The command ``dserver`` of this project."""

    name = "client"

    @staticmethod
    def put(machine: Machine, directory: Path) -> list[str]:
        """Return the command that deposits a directory."""
        return [_script("dserver"), "put", "--json", str(directory), _address(machine, BASE_URI)]

    @staticmethod
    def get(machine: Machine, uri: str, to: Path) -> list[str]:
        """Return the command that fetches a dataset."""
        return [_script("dserver"), "get", "--json", _address(machine, uri), str(to)]

    def deposit(self, machine: Machine, directory: Path) -> tuple[Used, str]:
        used = machine.run(self.put(machine, directory))
        return used, self.uri(used.output)

    @staticmethod
    def uri(output: str) -> str:
        """Return the URI in what ``put`` printed."""
        result = json.loads(output)
        return f"{BASE_URI}/{result['uuid']}"

    def fetch(self, machine: Machine, uri: str, to: Path) -> Used:
        return machine.run(self.get(machine, uri, to))


class Sequential:
    """Requests, one after another, as the public client sends them; see sequential.py."""

    name = "sequential"
    _command = (sys.executable, "-m", "benchmarks.client.sequential")

    def deposit(self, machine: Machine, directory: Path) -> tuple[Used, str]:
        used = machine.run([*self._command, "put", str(directory), BASE_URI])
        return used, used.output.strip()

    def fetch(self, machine: Machine, uri: str, to: Path) -> Used:
        return machine.run([*self._command, "get", uri, str(to)])


class Curl:
    """curl alone: what is announced, completed and hashed by others is not counted."""

    name = "curl"

    def deposit(self, machine: Machine, directory: Path) -> tuple[Used, str]:
        plan = announcement(directory)
        grant = machine.ask("POST", f"upload/{quote(BASE_URI, safe='')}", plan).json()
        transfers = [
            [
                f"upload-file = {json.dumps(str(directory / item['relpath']))}",
                f"url = {json.dumps(item['url'])}",
                *(f"header = {json.dumps(f'{k}: {v}')}" for k, v in item["headers"].items()),
                'output = "/dev/null"',
            ]
            for item in grant["upload_urls"]["items"].values()
        ]
        with _config("\nnext\n".join("\n".join(lines) for lines in transfers)) as config:
            used = machine.run(_curl(len(transfers), config))
        machine.ask("POST", "upload-complete", {"uri": grant["uri"]})
        return used, grant["uri"]

    def fetch(self, machine: Machine, uri: str, to: Path) -> Used:
        found = machine.ask("GET", f"dataset/{quote(uri, safe='')}?format=curl").text
        with _config(found) as config:
            to.mkdir()
            count = found.count("url =")
            return machine.run([*_curl(count, config), "--create-dirs", "--output-dir", str(to)])


class DtoolCopy:
    """The released ``dtool cp`` with keys of the bucket, without dserver."""

    name = "dtool cp"
    # Not by the entry point, which would load all commands first.
    _command = (sys.executable, "-c", "from dtool_create.dataset import cp; cp()", "--quiet")

    def deposit(self, machine: Machine, directory: Path) -> tuple[Used, str]:
        with _dtool_dataset(directory) as local:
            used = machine.run([*self._command, local, BASE_URI])
            return used, used.output.strip().splitlines()[-1]

    def fetch(self, machine: Machine, uri: str, to: Path) -> Used:
        to.mkdir()
        return machine.run([*self._command, uri, str(to)])


def md5sum(machine: Machine, directory: Path) -> Used:
    """Return what hashing each file costs, which anybody has to do who announces it."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return machine.run(["md5sum", *map(str, files)])


def _address(machine: Machine, uri: str) -> str:
    return machine.url.replace("http:", "dserver:") + "/" + uri.replace("://", "/")


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _curl(transfers: int, config: Path) -> list[str]:
    parallel = ["--parallel", "--parallel-max", _AT_ONCE] if transfers > 1 else []
    return ["curl", "--silent", "--show-error", "--fail", *parallel, "--config", str(config)]


@contextmanager
def _config(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "curl.conf")
        path.write_text(text, encoding="utf-8")
        yield path


@contextmanager
def _dtool_dataset(directory: Path) -> Iterator[str]:
    """Create a local dtool dataset of the files of a directory."""
    with tempfile.TemporaryDirectory() as base:
        with dtoolcore.DataSetCreator("benchmark", f"file://{base}") as creator:
            for item in announcement(directory)["items"]:
                creator.put_item(str(directory / item["relpath"]), item["relpath"])
        yield creator.uri
