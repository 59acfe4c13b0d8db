"""A dserver whose people follow their signed URLs through a proxy, and datasets in it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dserver_client.client import Client
from dservercore import sql_db

from tests.support.clients import Deposit, DtoolDserver
from tests.support.dserver import Account, Bucket, Dserver, in_capitals
from tests.support.http_server import serving
from tests.support.proxy import Instead, Request, StoreProxy


@dataclass
class ProxiedLab:
    """The dserver, the proxy that is healed after each test, and a client of alice's."""

    dserver: Dserver
    proxy: StoreProxy
    client: Client

    @property
    def token(self) -> str:
        """Alice's token."""
        return self.dserver.tokens["alice"]

    def deposit(self, files: Mapping[str, bytes], **more: Any) -> str:
        """Deposit a dataset, and forget that; return its URI."""
        deposit = Deposit(files, more=more)
        answer = DtoolDserver().upload(self.dserver.alice, self.dserver.base_uri, deposit)
        assert answer.status_code == 200, answer.json
        self.proxy.forget()
        return str(answer.json["uri"])

    def item_requests(self) -> list[Request]:
        """Return what was asked for of items, documents aside."""
        ends = ("/dtool", ".json", "README.yml")
        paths = [(request, request.target.partition("?")[0]) for request in self.proxy.requests]
        return [request for request, path in paths if not path.endswith(ends)]


@contextmanager
def proxied_lab(
    place: Bucket | Account, config: Mapping[str, Any], known: Mapping[str, str]
) -> Iterator[ProxiedLab]:
    """Serve a dserver on this machine, with a proxy in front of its store."""
    with StoreProxy(place) as proxy:
        dserver = Dserver(place, {**config, **in_capitals(proxy.public_settings())}, known)
        with serving(dserver.app) as url, Client(url, dserver.tokens["alice"]) as client:
            yield ProxiedLab(dserver, proxy, client)
        with dserver.app.app_context():
            sql_db.engine.dispose()


def etag(content: bytes) -> str:
    """Return the ETag that the store gives to what came in one piece."""
    return f'"{hashlib.md5(content).hexdigest()}"'


def some_bytes(size: int, seed: int = 0) -> bytes:
    """Return bytes that repeat nowhere."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - the same for each run


# Large enough to be continued after an interruption.
MIDDLE = some_bytes(700_000)


def contents(directory: Path) -> dict[str, bytes]:
    """Return the content of each file by its relative path."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def cut(content: bytes, first: int, end: int, length: int, etag: str = '"etag"') -> Instead:
    """Answer a range of which only ``length`` bytes come."""
    headers = {"Content-Range": f"bytes {first}-{end - 1}/{len(content)}", "ETag": etag}
    return Instead(206, content[first : first + length], headers, length=end - first)
