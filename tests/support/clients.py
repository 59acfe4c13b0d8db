"""Clients that behave as published ones do, and what they deposit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
import requests
from dtoolcore.utils import generate_identifier
from werkzeug.test import TestResponse

from tests.support.dserver import Person

README = "---\ndescription: Größe über Zeit\n"
FILES = {
    "data/file1.txt": b"content1",
    "Notizen/Größe über Zeit.txt": b"gewachsen\n",
    "empty.dat": b"",
}


@dataclass
class Deposit:
    """A dataset that somebody wants to upload."""

    files: Mapping[str, bytes] = field(default_factory=lambda: FILES)
    name: str = "my-dataset"
    uuid: str = field(default_factory=lambda: str(uuid4()))
    readme: str | None = README
    more: Mapping[str, Any] = field(default_factory=dict)

    def described(self) -> list[dict[str, Any]]:
        """Every property of every item."""
        return [
            {
                "relpath": relpath,
                "size_in_bytes": len(content),
                "hash": hashlib.md5(content).hexdigest(),
                "utc_timestamp": 1_700_000_000.5,
            }
            for relpath, content in self.files.items()
        ]

    def content(self, identifier: str) -> bytes:
        """The bytes of one item."""
        return {generate_identifier(path): data for path, data in self.files.items()}[identifier]


class DtoolDserver:
    """dtool-dserver: sends every item field and hash_function, returns headers verbatim."""

    def plan(self, deposit: Deposit) -> dict[str, Any]:
        return {
            "uuid": deposit.uuid,
            "name": deposit.name,
            "items": deposit.described(),
            "hash_function": "md5sum_hexdigest",
            **deposit.more,
        }

    def begin(self, person: Person, base_uri: str, deposit: Deposit) -> dict[str, Any]:
        answer = person.begin(base_uri, self.plan(deposit))
        assert answer.status_code == 200, answer.json
        return answer.json

    def put(self, grant: Mapping[str, Any], deposit: Deposit) -> None:
        """PUT the README, if there is one, and every item."""
        urls = grant["upload_urls"]
        if deposit.readme is not None:
            headers = {"Content-Type": "text/plain; charset=utf-8"}
            _put(urls["readme"], deposit.readme.encode(), headers)
        self.put_items(urls["items"], deposit)

    def put_items(self, items: Mapping[str, Any], deposit: Deposit) -> None:
        """Send open files.

        Of an open empty file requests does not send the length, which neither AWS nor Azure takes.
        """
        for identifier, item in items.items():
            _put(item["url"], BytesIO(deposit.content(identifier)), item["headers"])

    def upload(self, person: Person, base_uri: str, deposit: Deposit) -> TestResponse:
        """Announce, PUT, complete; return the answer to the last."""
        grant = self.begin(person, base_uri, deposit)
        self.put(grant, deposit)
        return person.complete(grant["uri"])


class DserverClientJS(DtoolDserver):
    """dserver-client-js: never sends hash_function, returns no header, four items at a time."""

    def plan(self, deposit: Deposit) -> dict[str, Any]:
        plan = super().plan(deposit)
        del plan["hash_function"]
        return plan

    def put_items(self, items: Mapping[str, Any], deposit: Deposit) -> None:
        def put(entry: tuple[str, Any]) -> None:
            identifier, item = entry
            content_type = {"Content-Type": "application/octet-stream"}
            _put(item["url"], deposit.content(identifier), content_type)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, items.items()))


class RelpathsOnly(DserverClientJS):
    """The spec's own example: items are relpaths, nothing else."""

    def plan(self, deposit: Deposit) -> dict[str, Any]:
        items = [{"relpath": relpath} for relpath in deposit.files]
        return {"uuid": deposit.uuid, "name": deposit.name, "items": items, **deposit.more}


class WithHeaders(RelpathsOnly):
    """Announces relpaths alone, and returns the headers that Azure demands."""

    def put_items(self, items: Mapping[str, Any], deposit: Deposit) -> None:
        for identifier, item in items.items():
            _put(item["url"], deposit.content(identifier), item["headers"])


CLIENTS = [DtoolDserver(), DserverClientJS(), RelpathsOnly()]
each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: type(client).__name__)


def urls_in(answer: Any) -> list[str]:
    """Return every URL anywhere in an answer."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if isinstance(answer, list | tuple):
        return [url for inner in answer for url in urls_in(inner)]
    return [answer] if isinstance(answer, str) and answer.startswith("http") else []


def _put(url: str, content: bytes | BytesIO, headers: Mapping[str, str]) -> None:
    answer = requests.put(url, data=content, headers=dict(headers), timeout=30)
    assert answer.ok, answer.text
