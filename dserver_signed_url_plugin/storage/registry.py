"""Which storage serves which base URI.

The table names this plugin's own storages; any other scheme, and one that the operator wants so, is
left to dtool's storage broker of that name, which must know how to sign. A storage is made at first
use and kept for its base URI.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import LifecycleUnsupported
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.circuit_breaker import CircuitBreaker, guarded, limited
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.error_translation import translated, translating
from dserver_signed_url_plugin.storage.lifecycle import LifecycleRules
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.uris import BaseURI

_OWN = {
    "azure": "dserver_signed_url_plugin.storage.azure:AzureStorage",
    "s3": "dserver_signed_url_plugin.storage.s3:S3Storage",
}
_LIFECYCLES = {
    "s3": "dserver_signed_url_plugin.storage.s3.lifecycle:S3Lifecycle",
}
_LIFECYCLES_ELSEWHERE = {
    "azure": (
        "An account key does not reach the lifecycle of an Azure storage account. Add a rule under "
        "`Lifecycle management` in the Azure portal, or by `az storage account management-policy "
        "create`"
    ),
}
_ANY_LIFECYCLE_ELSEWHERE = "Of this storage no lifecycle is known. Delete old datasets by its means"
_ANY_OTHER = "dserver_signed_url_plugin.storage.broker:BrokerStorage"


Made = TypeVar("Made")


class Storages:
    """The storages of one app; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._storages: _Kept[Storage] = _Kept(settings.storage_seconds)
        # By itself: where only the rules cannot be had, datasets can be read and deposited.
        self._lifecycles: _Kept[LifecycleRules] = _Kept(
            settings.storage_seconds, "lifecycle rules of "
        )

    @contextmanager
    def call(self) -> Iterator[None]:
        """Let all that the block does with stores take no longer than one call may."""
        with deadline.under(Deadline(self._settings.storage_seconds)):
            yield

    def of(self, base_uri: BaseURI) -> Storage:
        """Return the storage of a base URI.

        :raises SigningUnsupported: if nothing here can sign for it.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        path = self._own(_OWN, base_uri) or _ANY_OTHER
        return self._storages.of(base_uri, lambda: self._make(path, base_uri))

    def signed_by(self, base_uri: BaseURI) -> str:
        """Return who makes the URLs of a base URI: this plugin, or a storage broker of dtool's.

        :raises SigningUnsupported: if nothing here can sign for it.
        :raises StorageUnavailable: if its storage broker cannot be asked.
        """
        path = self._own(_OWN, base_uri)
        return self.of(base_uri).signed_by if path is None else str(_named(path).signed_by)

    def probe(self, base_uri: BaseURI, probes: Mapping[str, str]) -> Any:
        """Make what examines a base URI's storage; None where there is no such thing.

        :param probes: for each scheme the module and class, as ``module:Class``.
        :raises SigningUnsupported: if nothing here can sign for it.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        path = self._own(probes, base_uri)
        if path is None:
            self.of(base_uri)
            return None
        with self.call():
            made = self._make(path, base_uri)
        return limited(made, self._settings.storage_seconds)

    def lifecycle(self, base_uri: BaseURI) -> LifecycleRules:
        """Return what reads and changes the lifecycle rules of a base URI's store.

        :raises LifecycleUnsupported: where there is none, or none within reach; says what to do.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        path = self._own(_LIFECYCLES, base_uri)
        if path is None:
            advice = self._own(_LIFECYCLES_ELSEWHERE, base_uri) or _ANY_LIFECYCLE_ELSEWHERE
            raise LifecycleUnsupported(advice)
        return self._lifecycles.of(base_uri, lambda: self._make(path, base_uri))

    def _make(self, path: str, base_uri: BaseURI) -> Any:
        """Make what a base URI is served by, and let it raise no errors but ours."""
        with translating("connecting", str(base_uri)):
            return translated(_named(path)(base_uri, self._settings), str(base_uri))

    def _own(self, table: Mapping[str, str], base_uri: BaseURI) -> str | None:
        """Return what a table has for this scheme, unless a storage broker is to serve it."""
        return None if base_uri.scheme in self._settings.brokered else table.get(base_uri.scheme)


class _Kept(Generic[Made]):
    """What was made for each base URI, kept, and asked only while its store is worth asking."""

    def __init__(self, seconds: float, what: str = "") -> None:
        self._seconds, self._what = seconds, what
        self._made: dict[BaseURI, Made] = {}
        self._stores: dict[BaseURI, CircuitBreaker] = {}
        # One for each, because making a storage may wait for its store.
        self._locks: dict[BaseURI, threading.Lock] = {}

    def of(self, base_uri: BaseURI, make: Callable[[], Made]) -> Made:
        made = self._made.get(base_uri)
        if made is not None:
            return made
        store = CircuitBreaker(f"{self._what}{base_uri.location}", self._seconds)
        store = self._stores.setdefault(base_uri, store)
        # Unlike a defaultdict this gives two threads that come at once the same one.
        with store.visit(), self._locks.setdefault(base_uri, threading.Lock()):
            if base_uri not in self._made:
                self._made[base_uri] = guarded(make(), store)
            return self._made[base_uri]


def _named(path: str) -> Any:
    """Import a class when it is needed: not everybody has every vendor's SDK."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
