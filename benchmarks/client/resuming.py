"""A deposit and a fetch that are killed halfway and run again: what passes the network twice."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.client.contents import Contents
from benchmarks.client.programs import DserverClient, Machine

_SECONDS = 120


def measure(machine: Machine, what: Contents, directory: Path) -> dict[str, Any]:
    """Return bytes: of the contents, that passed the proxy, and that the store had already."""
    proxy = machine.server.store.latency
    assert proxy is not None
    client = DserverClient()

    def sent() -> int:
        return proxy.bytes()[0]

    def received() -> int:
        return proxy.bytes()[1]

    before, again = sent(), machine.server.store.again()
    deposit = client.put(machine, what.directory)
    _killed_halfway(machine, deposit, sent, what.size)
    uri = client.uri(machine.run(deposit).output)
    result = {
        "size": what.size,
        "sent": sent() - before,
        "acknowledged_sent_again": machine.server.store.again() - again,
    }
    to, before = directory / "resumed", received()
    fetch = client.get(machine, uri, to)
    _killed_halfway(machine, fetch, received, what.size)
    machine.run(fetch)
    shutil.rmtree(to)
    return {**result, "received": received() - before}


def _killed_halfway(
    machine: Machine, command: list[str], passed: Callable[[], int], size: int
) -> None:
    """Run a command until half of the bytes have passed the proxy, and kill it."""
    start, end = passed(), time.monotonic() + _SECONDS
    process = subprocess.Popen(
        command,
        env=machine.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while passed() - start < size / 2:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command} has not come halfway.")
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
