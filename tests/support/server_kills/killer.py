"""Kills the server that makes a certain request to the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dservercore import sql_db
from sqlalchemy import select

from dserver_signed_url_plugin.uploads.lease import RENEWAL
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.dserver import Dserver
from tests.support.proxy import Fault, Request
from tests.support.replicas import Replica

# Whether it is this request of those that all servers make, which are counted from one.
Moment = Callable[[Request, int], bool]
# Token, end and state.
LeaseOfUpload = tuple[str | None, float | None, str]


@dataclass
class Kill:
    """When a server was killed, and what that did."""

    during: str
    at: float = field(default_factory=time.monotonic)
    left: dict[str, str] = field(default_factory=dict)  # states by UUID, of leases left behind
    back_after: float = 0.0  # seconds
    delays: list[float] = field(default_factory=list)  # seconds until those were registered


class Killer:
    """Kills a server before a request of its reaches the store, or after the store has done it."""

    def __init__(self, servers: Sequence[Replica], dserver: Dserver) -> None:
        self._dserver, self._lock = dserver, threading.Lock()
        self._servers = servers
        self._held: dict[str, LeaseOfUpload] = {}
        self.killed = threading.Event()
        self.arm(_never, "before")
        for server in servers:
            self._watch(server)

    def arm(self, moment: Moment, when: str) -> None:
        """Kill at a moment; ``when`` is ``before`` or ``after``."""
        with self._lock:
            self._requests, self._moment, self._when = 0, moment, when
            self.victim, self.kill = self._servers[0], Kill("nothing")
            self.killed.clear()

    def disarm(self) -> int:
        """Kill nothing any more; return the number of requests since it was armed."""
        with self._lock:
            self._moment = _never
            return self._requests

    def note_leases(self) -> None:
        """Note which leases nobody renews any more."""
        time.sleep(max(0.0, self.kill.at + 1.5 * RENEWAL - time.monotonic()))
        now = leases(self._dserver)
        self.kill.left = {
            uuid: lease[-1]
            for uuid, lease in self._held.items()
            if lease[0] is not None and now.get(uuid) == lease
        }

    def _watch(self, server: Replica) -> None:
        server.store.before = lambda request: self._pass(server, request, "before")
        server.store.after = lambda request: self._pass(server, request, "after")

    def _pass(self, server: Replica, request: Request, when: str) -> Fault | None:
        with self._lock:
            self._requests += when == "before"
            if when != self._when or not self._moment(request, self._requests):
                return None
            self._moment = _never
        server.kill()
        self.victim, self.kill = server, Kill(f"{when} {described(request)}")
        self._held = leases(self._dserver)
        self.killed.set()
        return Fault.DROPPED


def _never(_request: Request, _number: int) -> bool:
    return False


def leases(dserver: Dserver) -> dict[str, LeaseOfUpload]:
    """Return the lease of each pending upload, by UUID."""
    columns = (PendingUpload.lease, PendingUpload.lease_ends, PendingUpload.state)
    with dserver.app.app_context():
        found = sql_db.session.execute(select(PendingUpload.uuid, *columns)).all()
        sql_db.session.remove()
    return {uuid: (token, ends, state.value) for uuid, token, ends, state in found}


def described(request: Request) -> str:
    """Return what a request does, without names that differ from one dataset to another."""
    target = urlsplit(request.target)
    name = target.path.rsplit("/", 1)[-1]
    if request.is_copy:
        name = "item, as a copy"
    elif "uploadId" in target.query or "uploads" in target.query:
        name = "parts"
    elif request.method == "PUT" and name == "dtool":
        name = f"dtool of a {request.headers['x-amz-meta-type']}"
    elif name.startswith("dtool-"):
        name = "registration key"
    elif target.path.count("/") == 1:
        name = "bucket"
    elif "/data/" in target.path:
        name = "item"
    return f"{request.method} {name}"
