"""A dserver and a store that a client reaches through proxies, and what must hold in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dserver_client.client import Client
from dserver_client.errors import ClientError
from dservercore import sql_db

from client.tests.faults.proxies import ServerProxy
from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.dserver import Dserver
from tests.support.http_server import serving
from tests.support.proxy import StoreProxy

FILES = {
    "a.txt": b"first\n",
    "sub/Größe über Zeit.bin": bytes(range(256)) * 400,
    "sub/empty.dat": b"",
}
README = "---\ndescription: Größe\n"
PART = 5 * 1024**2
# How often somebody repeats a command before giving up on it.
PATIENCE = 4


@dataclass(frozen=True)
class World:
    """dserver and its store, each behind a proxy."""

    dserver: Dserver
    proxies: dict[str, StoreProxy]

    def repeated(self, command: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client, each time as a new process would, until it succeeds."""
        errors: list[Exception] = []
        for _ in range(PATIENCE):
            with self.client() as client:
                try:
                    return getattr(client, command)(*arguments, **options)
                except ClientError as error:
                    errors.append(error)
        raise AssertionError(errors) from errors[-1]

    def client(self) -> Client:
        """Return a client of alice's."""
        return Client(self.proxies["dserver"].endpoint, self.dserver.tokens["alice"])

    def registered(self, name: str) -> list[str]:
        """Return the URIs of datasets of this name."""
        with self.client() as client:
            return [entry.uri for entry in client.datasets() if entry.name == name]


@contextmanager
def reached_through_proxies(
    dserver_at: Callable[[StoreProxy], Dserver], bucket: Any, served: Callable[[Any], Any]
) -> Iterator[World]:
    """Let people reach dserver and its store through proxies; dserver asks the store itself.

    :param served: makes what people reach of dserver's app.
    """
    with StoreProxy(bucket) as store_proxy:
        dserver = dserver_at(store_proxy)
        with serving(served(dserver.app)) as url, ServerProxy(url) as server_proxy:
            yield World(dserver, {"dserver": server_proxy, "store": store_proxy})


def pending_uploads(dserver: Dserver) -> int:
    """Return how many uploads are not registered."""
    with dserver.app.app_context():
        return len(list(sql_db.session.scalars(sql_db.select(PendingUpload.uuid))))


def write(directory: Path, files: dict[str, bytes]) -> Path:
    """Write files below a directory."""
    for relpath, content in files.items():
        path = directory / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    """Return all files below a directory."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}
