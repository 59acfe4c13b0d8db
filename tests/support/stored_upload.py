"""One upload as a storage sees it, without a dserver: announce, PUT, follow URLs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import requests
from dtoolcore.utils import generate_identifier

from dserver_signed_url_plugin.storage.manifest import FrozenDataset, Manifest
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.storage.values import (
    Claim,
    Freed,
    Item,
    Life,
    Promotion,
    ProtoDataset,
    SignedRequest,
    StoredItem,
    WriteURLs,
)

FILES = {"data/one.txt": b"first", "data/two.txt": b"second", "empty.dat": b""}
AWKWARD = [
    "Größe über Zeit.txt",
    "データ/測定.csv",
    "100 % + 1 & 2=3?.txt",
    "%2e%2e/encoded%20twice",
    'it\'s "quoted" <b>;#~.txt',
    "🧪/👩‍🔬.txt",
    " outer space ",
]
REFUSED = frozenset({400, 401, 403, 409, 412})
README = "---\ndescription: Größe\n"

Everything = Callable[[], Mapping[str, Any]]


def uninterrupted() -> None:
    """Nobody takes over while a proto-dataset is opened."""


@dataclass
class Upload:
    """One upload as the storage sees it, and the bytes that a person has for it."""

    storage: Storage
    files: Mapping[str, bytes] = field(default_factory=lambda: FILES)
    uuid: str = field(default_factory=lambda: str(uuid4()))
    staging: str = field(default_factory=lambda: uuid4().hex)
    uploader: str = "alice"
    was_written: bool = False
    dtoolcore_version: str = "3.19.0"

    @property
    def items(self) -> list[Item]:
        return [
            Item(generate_identifier(path), path, len(data), hashlib.md5(data).hexdigest(), 1.5)
            for path, data in self.files.items()
        ]

    @property
    def contents(self) -> dict[str, bytes]:
        """The bytes by identifier."""
        return {generate_identifier(path): data for path, data in self.files.items()}

    @property
    def opening(self) -> ProtoDataset:
        return ProtoDataset(
            self.uuid,
            Claim({"uploader": self.uploader}, self.was_written),
            self.admin_metadata("protodataset"),
            tags=("red", "blue"),
            annotations={"place": {"room": [1, "Größe"]}},
            overlays={"rating": {item.identifier: 5 for item in self.items}},
        )

    def admin_metadata(self, kind: str) -> dict[str, Any]:
        about = {"uuid": self.uuid, "type": kind, "name": "my-dataset", "created_at": 1700000000.5}
        about |= {"creator_username": "alice", "dtoolcore_version": self.dtoolcore_version}
        return about

    def urls(self, life: Life, pinned: bool) -> WriteURLs:
        return self.storage.uploads.write_urls(
            self.uuid, self.staging, self.items, life, pinned=pinned
        )

    def put_all(self, life: Life, pinned: bool) -> None:
        urls = self.urls(life, pinned)
        for identifier, data in self.contents.items():
            assert put(urls.items[identifier], data) in {200, 201}

    def put_document(self, urls: WriteURLs, name: str, data: bytes) -> int:
        return put(SignedRequest(urls.documents[name]), data)

    def discard(self, check: Callable[[], None] = uninterrupted) -> Freed:
        return self.storage.discards.discard(self.uuid, self.opening.claim, check)

    def held(self) -> Any:
        return self.storage.uploads.contents(self.uuid, self.staging)

    def promotions(self) -> list[Promotion]:
        staged = self.held().staged
        waiting = [item for item in self.items if item.identifier in staged]
        return [Promotion(item, staged[item.identifier]) for item in waiting]

    def promote(self, promotions: Sequence[Promotion]) -> dict[str, StoredItem]:
        if self.storage.staged_items is None:
            assert not promotions
            return {}
        return self.storage.staged_items.promote(self.uuid, self.staging, promotions)

    def freezing(self, readme: str | None = README) -> FrozenDataset:
        manifest = Manifest.of(self.items, self.dtoolcore_version)
        admin = {**self.admin_metadata("dataset"), "frozen_at": 1700000001.5}
        return FrozenDataset(readme, manifest, admin)

    def freeze(self, readme: str | None = README) -> None:
        self.storage.uploads.freeze(self.uuid, self.freezing(readme), uninterrupted)

    def deposit(self, life: Life, *, pinned: bool = True) -> Upload:
        """Do all that makes a dataset; returns itself."""
        self.put_all(life, pinned)
        self.promote(self.promotions())
        self.freeze()
        self.storage.uploads.delete_temporary(self.uuid)
        return self

    def downloaded(self, life: Life) -> dict[str, bytes]:
        """The bytes by identifier, as whoever follows the URLs gets them."""
        urls = self.storage.reads.read_urls(self.uuid, life)
        return {identifier: get(url).content for identifier, url in urls.items.items()}


def put(request: SignedRequest, data: bytes) -> int:
    """PUT as the storage said, and return the status."""
    return requests.put(
        request.url, data=data, headers=dict(request.headers), timeout=30
    ).status_code


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=30)


def tampered(url: str) -> dict[str, str]:
    """The URL with each part of its query changed in turn, by the part's name."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query)
    variants = {}
    for name, value in query:
        other = value[:-1] + ("1" if value[-1] != "1" else "2")
        changed = urlencode([(n, other if n == name else v) for n, v in query])
        variants[name] = parts._replace(query=changed).geturl()
    return {**variants, "whole query": parts._replace(query="").geturl()}
