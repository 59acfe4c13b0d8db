"""Sweeping: datasets that their store has deleted leave dserver's register too.

Knows that only a store which answers, and has nothing left of a dataset, is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit import Audit, Decision
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.errors import DatasetNotFound, DiscardUnsupported, SignedURLError
from dserver_signed_url_plugin.storage import Storages
from dserver_signed_url_plugin.storage.base import Holdings, Storage
from dserver_signed_url_plugin.storage.parallel import PARALLEL
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

__all__ = ["Finding", "RegisteredDataset", "State", "Sweep"]

_MOMENT = 1  # second: nobody is given the URLs


class State(Enum):
    """What storage has of a registered dataset, or what became of it."""

    PRESENT = "present"
    PARTLY_GONE = "partly gone"
    GONE = "gone"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One dataset, its state, and why."""

    dataset: RegisteredDataset
    state: State
    reason: str = ""


class Sweep:
    """Takes out of the register what storage no longer has."""

    def __init__(self, storages: Storages, audit: Audit) -> None:
        self._storages, self._audit = storages, audit

    def registered(self, base_uri: BaseURI) -> Sequence[RegisteredDataset]:
        """Return what is registered below a base URI; one query."""
        return datasets.below(base_uri)

    def findings(
        self, base_uri: BaseURI, registered: Sequence[RegisteredDataset], dry_run: bool
    ) -> Iterator[Finding]:
        """Look for each dataset, 16 at a time, and remove those that are gone, one by one.

        Whatever fails with one is a finding, and stops no other.

        :raises SigningUnsupported: if there is no storage for the base URI.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        storage = self._storages.of(base_uri)
        with ThreadPoolExecutor(PARALLEL) as pool:
            for found in pool.map(lambda dataset: _look(storage, dataset), registered):
                is_to_go = found.state is State.GONE and not dry_run
                yield self._removed(storage, found.dataset) if is_to_go else found

    def _removed(self, storage: Storage, dataset: RegisteredDataset) -> Finding:
        """Look again, because it may have waited for its turn, and let dserver forget it."""
        found = _look(storage, dataset)
        if found.state is not State.GONE:
            return found
        uri = DatasetURI.parse(dataset.uri)
        try:
            if datasets.find(uri) is None:
                return Finding(dataset, State.REMOVED, "by another sweep")
            datasets.unregister(uri)
        except SignedURLError as error:
            return Finding(dataset, State.FAILED, error.message)
        self._audit.record(
            Decision(
                action="sweep",
                username="",
                uri=dataset.uri,
                items=dataset.number_of_items,
                size_in_bytes=dataset.size_in_bytes,
            )
        )
        return Finding(dataset, State.REMOVED)


def _look(storage: Storage, dataset: RegisteredDataset) -> Finding:
    """Ask storage what it has of a dataset; never raises an error of this plugin."""
    try:
        try:
            objects = storage.size(dataset.uuid).objects
        except DiscardUnsupported:
            return _by_kind(storage.kind(dataset.uuid), dataset)
        if objects:
            return _by_items(storage.holdings(dataset.uuid, ""), dataset)
        # A listing may lag behind; this asks for the manifest by its name.
        storage.read_urls(dataset.uuid, storage.life(_MOMENT))
        return Finding(dataset, State.PRESENT)
    except DatasetNotFound:
        return Finding(dataset, State.GONE)
    except SignedURLError as error:
        return Finding(dataset, State.FAILED, error.message)


def _by_kind(kind: str | None, dataset: RegisteredDataset) -> Finding:
    if kind is not None:
        return Finding(dataset, State.PRESENT)
    reason = "its storage broker cannot tell whether anything is left of it"
    return Finding(dataset, State.FAILED, reason)


def _by_items(holdings: Holdings, dataset: RegisteredDataset) -> Finding:
    # Null for what was registered before dserver counted items.
    items, found = dataset.number_of_items or 0, len(holdings.final)
    if holdings.opened and found >= items:
        return Finding(dataset, State.PRESENT)
    lost = f"{found:,} of {items:,} items are there"
    if not holdings.opened:
        lost += ", its admin metadata is gone"
    return Finding(dataset, State.PARTLY_GONE, lost)
