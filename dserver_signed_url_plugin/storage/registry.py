"""Which storage serves which base URI.

S3 and Azure have storages of their own; any other scheme, and one for which the operator chooses
so, is served by dtool's storage broker, which must be able to sign. A storage is made at first use
and kept for its base URI.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import Any, Generic, TypeVar

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import DiscardUnsupported, LifecycleUnsupported
from dserver_signed_url_plugin.observer import Observer
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.circuit_breaker import CircuitBreaker, guarded, limited
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.error_translation import translated, translating
from dserver_signed_url_plugin.storage.lifecycle import LifecycleRules
from dserver_signed_url_plugin.storage.protocols import (
    Inventory,
    ReadSigner,
    Storage,
    UploadDiscards,
)
from dserver_signed_url_plugin.uris import BaseURI, DatasetURI

_STORAGES = {
    "azure": "dserver_signed_url_plugin.storage.azure:azure_storage",
    "s3": "dserver_signed_url_plugin.storage.s3:s3_storage",
}
_OTHER_STORAGE = "dserver_signed_url_plugin.storage.broker:broker_storage"
_SIGNED_BY = {"azure": "this plugin, for Azure", "s3": "this plugin, for S3"}
_LIFECYCLES = {
    "s3": "dserver_signed_url_plugin.storage.s3.lifecycle:S3Lifecycle",
}
_LIFECYCLES_ELSEWHERE = {
    "azure": (
        "Neither an account key nor a role for data reaches the lifecycle of an account. Add a "
        "rule under `Lifecycle management` in the Azure portal, or by `az storage account "
        "management-policy create`"
    ),
}
_ANY_LIFECYCLE_ELSEWHERE = "Of this storage no lifecycle is known. Delete old datasets by its means"


Made = TypeVar("Made")
Capability = TypeVar("Capability")


class Storages:
    """The storages of one app; safe to share between threads.

    What returns a storage, or a capability of one, may raise SigningUnsupported, if nothing here
    can sign for the base URI, and StorageUnavailable, if there are no usable settings or
    credentials.
    """

    def __init__(self, settings: Settings, observer: Observer | None = None) -> None:
        self._settings = settings
        self._storages: _Cache[Storage] = _Cache(settings.storage_seconds, observer or Observer())
        # Separate: datasets can be read and deposited even if the rules are not accessible. And not
        # observed: a store has one circuit breaker in the metrics.
        self._lifecycles: _Cache[LifecycleRules] = _Cache(
            settings.storage_seconds, Observer(), "lifecycle rules of "
        )

    @contextmanager
    def call(self) -> Iterator[None]:
        """Limit how long the block may wait for stores, in all."""
        with deadline.under(Deadline(self._settings.storage_seconds)):
            yield

    def of(self, base_uri: BaseURI) -> Storage:
        """Return the storage of a base URI, with all that it can do."""
        path = self._own(_STORAGES, base_uri) or _OTHER_STORAGE
        return self._storages.get(base_uri, lambda breaker: self._storage(path, base_uri, breaker))

    def open_breakers(self) -> dict[str, bool]:
        """Return for each base URI that was used in this process whether its store is refused."""
        return self._storages.open_breakers()

    def reads(self, base_uri: BaseURI) -> ReadSigner:
        """Return what signs URLs to read."""
        return self.of(base_uri).reads

    def discards(self, uri: DatasetURI) -> UploadDiscards:
        """Return what deletes a proto-dataset.

        :raises DiscardUnsupported: if the storage cannot.
        """
        return self._deleting(self.of(uri.base).discards, uri)

    def inventory(self, uri: DatasetURI) -> Inventory:
        """Return what deletes a dataset.

        :raises DiscardUnsupported: if the storage cannot.
        """
        return self._deleting(self.of(uri.base).inventory, uri)

    def _deleting(self, capability: Capability | None, uri: DatasetURI) -> Capability:
        if capability is None:
            signed_by = self.of(uri.base).signed_by
            raise DiscardUnsupported(signed_by[:1].upper() + signed_by[1:], uri)
        return capability

    def signed_by(self, base_uri: BaseURI) -> str:
        """Return who makes the URLs of a base URI: this plugin, or a storage broker of dtool's."""
        return self._own(_SIGNED_BY, base_uri) or self.of(base_uri).signed_by

    def probe(self, base_uri: BaseURI, probes: Mapping[str, str]) -> Any:
        """Return the doctor's probe of a base URI's store, or None if there is none.

        :param probes: for each scheme the module and class, as ``module:Class``.
        """
        path = self._own(probes, base_uri)
        if path is None:
            self.of(base_uri)
            return None
        with self.call():
            made = translated(self._make(path, base_uri), str(base_uri))
        return limited(made, self._settings.storage_seconds)

    def lifecycle(self, base_uri: BaseURI) -> LifecycleRules:
        """Return what reads and changes the lifecycle rules of a base URI's store.

        :raises LifecycleUnsupported: if there is none, or it is not accessible; says what to do.
        """
        path = self._own(_LIFECYCLES, base_uri)
        if path is None:
            advice = self._own(_LIFECYCLES_ELSEWHERE, base_uri) or _ANY_LIFECYCLE_ELSEWHERE
            raise LifecycleUnsupported(advice)

        def make(breaker: CircuitBreaker) -> Any:
            return guarded(translated(self._make(path, base_uri), str(base_uri)), breaker)

        return self._lifecycles.get(base_uri, make)

    def _storage(self, path: str, base_uri: BaseURI, breaker: CircuitBreaker) -> Storage:
        """Make a storage, whose methods raise our errors only, and go through a circuit breaker."""
        storage: Storage = self._make(path, base_uri)
        capabilities = {getattr(storage, field.name) for field in fields(storage)}
        for capability in capabilities - {None, storage.signed_by}:
            guarded(translated(capability, str(base_uri)), breaker)
        return storage

    def _make(self, path: str, base_uri: BaseURI) -> Any:
        with translating("connecting", str(base_uri)):
            return _imported(path)(base_uri, self._settings)

    def _own(self, table: Mapping[str, str], base_uri: BaseURI) -> str | None:
        """Return the entry of a scheme, unless a storage broker is to serve it."""
        return None if base_uri.scheme in self._settings.brokered else table.get(base_uri.scheme)


class _Cache(Generic[Made]):
    """One object for each base URI, made behind the circuit breaker of its store."""

    def __init__(self, seconds: float, observer: Observer, what: str = "") -> None:
        self._seconds, self._observer, self._what = seconds, observer, what
        self._made: dict[BaseURI, Made] = {}
        self._breakers: dict[BaseURI, CircuitBreaker] = {}
        # One for each, because making a storage may wait for its store.
        self._locks: dict[BaseURI, threading.Lock] = {}

    def get(self, base_uri: BaseURI, make: Callable[[CircuitBreaker], Made]) -> Made:
        made = self._made.get(base_uri)
        if made is not None:
            return made
        observe = partial(self._observer.store_called, str(base_uri))
        breaker = CircuitBreaker(f"{self._what}{base_uri.location}", self._seconds, observe)
        # setdefault, unlike a defaultdict, gives two threads the same one.
        breaker = self._breakers.setdefault(base_uri, breaker)
        with breaker.call(), self._locks.setdefault(base_uri, threading.Lock()):
            if base_uri not in self._made:
                self._made[base_uri] = make(breaker)
            return self._made[base_uri]

    def open_breakers(self) -> dict[str, bool]:
        known = sorted(self._breakers.items(), key=lambda each: str(each[0]))
        return {str(base_uri): breaker.is_open for base_uri, breaker in known}


def _imported(path: str) -> Any:
    """Import a class or function when it is needed: not every server has every vendor's SDK."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
