"""Deposits that are interrupted, and what then is in a dataset."""

from __future__ import annotations

from pathlib import Path

import requests
from dserver_client.client import Client
from dserver_client.deposit import Description, deposit
from dserver_client.local_files import find_files
from dserver_client.progress import NoProgress
from dserver_client.transfers.scheduler import Limit
from dserver_client.values import Deposited

from tests.support.dserver import Dserver

README = "---\ndescription: Leaves of cress\n"
MIB = 1024**2


class Interrupted(Exception):
    """Stands for the end of the process."""


class StopsAfter(NoProgress):
    """Interrupts when so many items, or bytes, are done in a phase."""

    def __init__(self, phase: str, items: int = -1, size_in_bytes: int = -1) -> None:
        self._phase, self._items, self._size = phase, items, size_in_bytes
        self._is_in_phase = False

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        self._is_in_phase = phase == self._phase

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        if self._is_in_phase:
            self._items -= items
            self._size -= size_in_bytes
            if 0 in (self._items, self._size):
                raise Interrupted

    def finish(self) -> None:
        if self._is_in_phase and self._phase == "complete":
            raise Interrupted


class Counts(NoProgress):
    """Counts what is done, by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, list[int]] = {}

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        self._phase = self.phases.setdefault(phase, [0, 0])

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        self._phase[0] += size_in_bytes
        self._phase[1] += items


def one_at_a_time(
    client: Client,
    folder: Path,
    base_uri: str,
    progress: NoProgress | None = None,
    *,
    restart: bool = False,
    **more: object,
) -> Deposited:
    """Deposit with one connection, so that what happens is determined."""
    description = Description(folder.name, README, **more)  # type: ignore[arg-type]
    source = find_files([folder])
    return deposit(
        client.server,
        source,
        base_uri,
        description,
        restart=restart,
        progress=progress,
        limit=Limit(1, 1),
    )


def contents(dserver: Dserver, uri: str) -> dict[str, bytes]:
    """Return the items of a dataset by relpath, as a reader with a token gets them."""
    items = dserver.alice.read_items(uri, match="*").json["items"]
    return {item["relpath"]: requests.get(item["url"]).content for item in items.values()}


def local_contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
