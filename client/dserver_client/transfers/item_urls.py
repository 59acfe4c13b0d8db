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

    renewals = 4

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
        # Of the URLs and batches; not held while dserver signs.
        self._lock = threading.Lock()
        self._signing = threading.Lock()

    def prepare(self, identifier: str) -> None:
        """Sign the URL of an item that is needed soon."""
        self.get(identifier)

    def get(self, identifier: str) -> str:
        """Return the URL of an item. Raise Refused if the dataset no longer has it."""
        return self._urls.get(identifier) or self._signed(identifier, None)

    def renewed(self, identifier: str, refused: str) -> str:
        """Return another URL than the one that the store has refused."""
        return self._signed(identifier, refused)

    def done(self, identifier: str) -> None:
        """Forget an item whose URL is not needed any more."""
        with self._lock:
            self._urls.pop(identifier, None)
            self._batches[self._batch_of[identifier]].discard(identifier)

    def _signed(self, identifier: str, refused: str | None) -> str:
        """Return an item's URL; sign its batch unless another thread has done so."""
        with self._signing:
            url = self._urls.get(identifier)
            if url not in (None, refused):
                return url
            with self._lock:
                batch = self._batches[self._batch_of[identifier]]
                batch.add(identifier)
                wanted = sorted(batch)
            signed = self._server.sign_items(self._uri, wanted)
            if identifier not in signed:
                message = "The dataset has lost an item since it was listed."
                raise Refused(message, 404, "no-item", {})
            with self._lock:
                # Some may be done meanwhile.
                self._urls.update({name: signed[name].url for name in batch & signed.keys()})
            return signed[identifier].url


def _divided(identifiers: Sequence[str]) -> Iterator[Sequence[str]]:
    yield identifiers[:_FIRST_BATCH]
    for first in range(_FIRST_BATCH, len(identifiers), _BATCH):
        yield identifiers[first : first + _BATCH]
