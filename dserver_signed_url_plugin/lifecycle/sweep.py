"""Unregisters datasets whose objects their store has deleted.

A dataset counts as deleted only if the store answers and holds no object of it anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.audit.decisions import Decision
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.datasets import RegisteredDataset
from dserver_signed_url_plugin.errors import (
    DatasetNotFound,
    DatasetsAtStake,
    SignedURLError,
)
from dserver_signed_url_plugin.lifecycle.rules import Lifecycles
from dserver_signed_url_plugin.storage.parallel import PARALLEL
from dserver_signed_url_plugin.storage.protocols import Inventory, Storage
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.storage.values import Contents
from dserver_signed_url_plugin.uris import BaseURI

__all__ = ["DatasetState", "RegisteredDataset", "Sweep", "SweptDataset"]

_MOMENT = 1  # second: nobody is given the URLs
_UNEXPLAINED = (
    "it is gone, and no known lifecycle rule explains it; use --even-if-all to unregister it"
)
_ELSEWHERE = (
    "nothing is left under the configured prefix, but objects of this UUID are elsewhere in the "
    "store; restore the prefix in the settings"
)


class DatasetState(Enum):
    """What storage holds of a registered dataset, or what the sweep did with it."""

    PRESENT = "present"
    PARTLY_GONE = "partly gone"
    GONE = "gone"
    REMOVED = "removed"
    FAILED = "failed"


@dataclass(frozen=True)
class SweptDataset:
    """One dataset, its state, and the reason."""

    dataset: RegisteredDataset
    state: DatasetState
    reason: str = ""


class Sweep:
    """Unregisters the datasets that storage no longer holds."""

    def __init__(self, storages: Storages, lifecycles: Lifecycles, audit: Audit) -> None:
        self._storages, self._lifecycles, self._audit = storages, lifecycles, audit

    def registered(self, base_uri: BaseURI) -> Sequence[RegisteredDataset]:
        """Return what is registered below a base URI.

        :raises InvalidField: if dserver does not know the base URI.
        """
        datasets.check_known(base_uri)
        return datasets.below(base_uri)

    def findings(
        self,
        base_uri: BaseURI,
        registered: Sequence[RegisteredDataset],
        *,
        dry_run: bool,
        even_if_all: bool = False,
    ) -> Iterator[SweptDataset]:
        """Check the datasets, 16 at a time; then unregister those that are gone, one by one.

        A failure with one dataset is a result, and does not stop the others.

        :param even_if_all: also unregister datasets whose loss no known lifecycle rule explains.
        :raises DatasetsAtStake: if datasets are gone, no rule explains any of them, and
            ``even_if_all`` is False.
        :raises SigningUnsupported: if there is no storage for the base URI.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        storage, gone = self._storages.of(base_uri), []
        with ThreadPoolExecutor(PARALLEL) as pool:
            for found in pool.map(lambda dataset: _check(storage, dataset), registered):
                if found.state is DatasetState.GONE:
                    gone.append(found.dataset)
                else:
                    yield found
        inventory = storage.inventory
        if inventory is None:
            # Then no dataset can be known to be gone.
            return
        missed = list(_gone_everywhere(inventory, gone))
        if not even_if_all:
            missed = self._doubted(base_uri, missed)
        for found in missed:
            is_to_go = found.state is DatasetState.GONE and not dry_run
            yield self._removed(storage, inventory, found.dataset) if is_to_go else found

    def _doubted(self, base_uri: BaseURI, missed: Sequence[SweptDataset]) -> list[SweptDataset]:
        """Turn unexplained losses into failures: the server may be configured for another store."""
        gone = [found.dataset for found in missed if found.state is DatasetState.GONE]
        doubtful = {dataset.uri for dataset in gone if not self._is_explained(dataset)}
        if gone and len(doubtful) == len(gone):
            raise DatasetsAtStake(
                len(gone),
                base_uri,
                "are gone, and no known lifecycle rule explains it. Check that the server is "
                "configured for the right store; use --even-if-all to unregister them.",
            )
        return [
            SweptDataset(found.dataset, DatasetState.FAILED, _UNEXPLAINED)
            if found.state is DatasetState.GONE and found.dataset.uri in doubtful
            else found
            for found in missed
        ]

    def _is_explained(self, dataset: RegisteredDataset) -> bool:
        return self._lifecycles.had_time(dataset.uri, dataset.frozen_at)

    def _removed(
        self, storage: Storage, inventory: Inventory, dataset: RegisteredDataset
    ) -> SweptDataset:
        """Check again, because time has passed, and unregister the dataset."""
        found = _check(storage, dataset)
        if found.state is not DatasetState.GONE:
            return found
        uri = dataset.uri
        try:
            if datasets.find(uri) is None:
                return SweptDataset(dataset, DatasetState.REMOVED, "by another sweep")
            # While it is registered nobody can take its UUID, and a failure is tried again.
            left = inventory.delete_registration(dataset.uuid)
            datasets.unregister(uri)
        except SignedURLError as error:
            return SweptDataset(dataset, DatasetState.FAILED, error.message)
        self._audit.record(
            Decision(
                action="sweep",
                username="",
                uri=dataset.uri_text,
                items=dataset.number_of_items,
                size_in_bytes=dataset.size_in_bytes,
            )
        )
        return SweptDataset(
            dataset, DatasetState.REMOVED, left and f"{left} stays, and keeps its UUID taken"
        )


def _check(storage: Storage, dataset: RegisteredDataset) -> SweptDataset:
    """Check what storage holds of a dataset; raises no error of this plugin."""
    try:
        uuid = dataset.uri.uuid
        if storage.inventory is None:
            return _by_type(storage.uploads.dataset_type(uuid), dataset)
        contents = storage.uploads.contents(uuid, staging="")
        if contents.objects:
            return _by_contents(contents, dataset)
        # A listing may be outdated; this requests the manifest by its key.
        storage.reads.read_urls(uuid, storage.reads.life(_MOMENT))
        return SweptDataset(dataset, DatasetState.PRESENT)
    except DatasetNotFound:
        return SweptDataset(dataset, DatasetState.GONE)
    except SignedURLError as error:
        return SweptDataset(dataset, DatasetState.FAILED, error.message)


def _gone_everywhere(
    inventory: Inventory, gone: Sequence[RegisteredDataset]
) -> Iterator[SweptDataset]:
    """Search for missing datasets under every other prefix: settings change."""
    try:
        elsewhere = inventory.under_other_prefixes({dataset.uuid for dataset in gone})
    except SignedURLError as error:
        yield from (SweptDataset(dataset, DatasetState.FAILED, error.message) for dataset in gone)
        return
    for dataset in gone:
        if dataset.uuid in elsewhere:
            yield SweptDataset(dataset, DatasetState.PARTLY_GONE, _ELSEWHERE)
        else:
            yield SweptDataset(dataset, DatasetState.GONE)


def _by_type(dataset_type: str | None, dataset: RegisteredDataset) -> SweptDataset:
    if dataset_type is not None:
        return SweptDataset(dataset, DatasetState.PRESENT)
    reason = "its storage broker cannot tell whether anything is left of it"
    return SweptDataset(dataset, DatasetState.FAILED, reason)


def _by_contents(contents: Contents, dataset: RegisteredDataset) -> SweptDataset:
    items, found = dataset.number_of_items, len(contents.final)
    lost = []
    if items is None and not found:
        lost.append("none of its items is there")
    elif found < (items or 0):
        lost.append(f"{found:,} of {items:,} items are there")
    lost += [] if contents.opened else ["its admin metadata is gone"]
    lost += [] if contents.has_manifest else ["its manifest is gone"]
    return SweptDataset(
        dataset, DatasetState.PARTLY_GONE if lost else DatasetState.PRESENT, ", ".join(lost)
    )
