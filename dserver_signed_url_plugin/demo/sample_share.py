"""The share of the demo's sample: the front page has its link, which is renewed when it ends.

A token is returned once and kept as a hash only, so the demo keeps that of its own share in its
data directory, which is private to its owner.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from dserver_signed_url_plugin.demo.info import PRIVATE, write_private
from dserver_signed_url_plugin.errors import ShareNotFound, SignedURLError
from dserver_signed_url_plugin.permissions import permit_read
from dserver_signed_url_plugin.services import services
from dserver_signed_url_plugin.shares.service import NewShare
from dserver_signed_url_plugin.uris import DatasetURI

OWNER = "alice"
NOTE = "This is the sample of the demo, shared by alice. Look around, and download what you like."


class _Kept(TypedDict):
    uri: str
    token: str | None


@dataclass(frozen=True)
class SampleShare:
    """What the demo keeps of its sample in a file: the dataset's URI, and the token of a share."""

    path: Path

    @property
    def uri(self) -> str | None:
        """The dataset, or None if the demo has not deposited it."""
        kept = self._read()
        return None if kept is None else kept["uri"]

    def keep(self, uri: str) -> None:
        """Remember the dataset, of which there is no share yet."""
        self._write({"uri": uri, "token": None})

    def token(self) -> str | None:
        """Return the token of a share that works, in an app context.

        Another share is created if the last one has ended, once however many processes ask.
        None is returned if there is no dataset to share, any more or yet.
        """
        with self._locked():
            kept = self._read()
            if kept is None:
                return None
            if kept["token"] is None or not _works(kept["token"]):
                kept["token"] = _created(kept["uri"])
                self._write(kept)
            return kept["token"]

    def _read(self) -> _Kept | None:
        if not self.path.exists():
            return None
        kept: _Kept = json.loads(self.path.read_text(encoding="utf-8"))
        return kept

    def _write(self, kept: _Kept) -> None:
        write_private(self.path, json.dumps(kept))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.path.with_suffix(".lock")
        path.touch(mode=PRIVATE)
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _works(token: str) -> bool:
    try:
        return services().visits.find(token).state == "active"
    except ShareNotFound:
        return False


def _created(uri: str) -> str | None:
    dataset = DatasetURI.parse(uri)
    try:
        permit = permit_read(OWNER, dataset.base)
        return services().shares.create(permit, dataset.uuid, NewShare(note=NOTE)).token
    except SignedURLError:
        # It was deleted, or alice may no longer read it.
        return None
