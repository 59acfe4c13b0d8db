"""The signed URLs of a dataset's items, each signed shortly before it is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from dserver_client.errors import Refused
from dserver_client.server import Server

# The first request is small, so that transfers can begin.
_FIRST_BATCH, _BATCH = 200, 1_000


class ItemURLs:
    """Signs the URLs of items in batches, and again when the store no longer accepts them.

    Threads share it: however many find an expired URL, each batch is signed once. A dserver that
    signs no batches signs all items at once.

    :param identifiers: the items in the order in which their URLs are needed.
    """

    def __init__(self, server: Server, uri: str, identifiers: Sequence[str]) -> None:
        self._server = server
        self._uri = uri
        self._batch_of: dict[str, int] = {}
        self._batches: list[set[str]] = []
        signs_batches = server.capabilities().items
        for batch in _divided(identifiers) if signs_batches else [identifiers]:
            self._batch_of.update(dict.fromkeys(batch, len(self._batches)))
            self._batches.append(set(batch))
        self._urls: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, identifier: str) -> str:
        """Return the URL of an item. Raise Refused if the dataset no longer has it."""
        with self._lock:
            if identifier not in self._urls:
                self._sign(identifier)
            return self._urls[identifier]

    def renewed(self, identifier: str, refused: str) -> str:
        """Return another URL than the one that the store has refused."""
        with self._lock:
            if self._urls.get(identifier) in (None, refused):
                self._sign(identifier)
            return self._urls[identifier]

    def done(self, identifier: str) -> None:
        """Forget an item whose URL is not needed any more."""
        with self._lock:
            self._urls.pop(identifier, None)
            self._batches[self._batch_of[identifier]].discard(identifier)

    def _sign(self, identifier: str) -> None:
        batch = self._batches[self._batch_of[identifier]] | {identifier}
        signed = self._server.sign_items(self._uri, sorted(batch))
        self._urls.update({name: entry.url for name, entry in signed.items()})
        if identifier not in self._urls:
            raise Refused("The dataset has lost an item since it was listed.", 404, "no-item", {})


def _divided(identifiers: Sequence[str]) -> Iterator[Sequence[str]]:
    yield identifiers[:_FIRST_BATCH]
    for first in range(_FIRST_BATCH, len(identifiers), _BATCH):
        yield identifiers[first : first + _BATCH]
