"""Which storage serves which base URI.

The table names this plugin's own storages; any other scheme is left to dtool's storage broker of
that name, which must know how to sign. A storage is made at first use and kept for its base URI.
"""

from __future__ import annotations

import importlib
import threading

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.base import Storage
from dserver_signed_url_plugin.uris import BaseURI

_OWN = {
    "s3": "dserver_signed_url_plugin.storage.s3:S3Storage",
}
_ANY_OTHER = "dserver_signed_url_plugin.storage.broker:BrokerStorage"


class Storages:
    """The storages of one app; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[BaseURI, Storage] = {}
        self._lock = threading.Lock()

    def of(self, base_uri: BaseURI) -> Storage:
        """Return the storage of a base URI.

        :raises SigningUnsupported: if nothing here can sign for it.
        :raises StorageUnavailable: if it has no usable settings or credentials.
        """
        made = self._made.get(base_uri)
        if made is None:
            with self._lock:
                made = self._made.get(base_uri) or self._make(base_uri)
                self._made[base_uri] = made
        return made

    def _make(self, base_uri: BaseURI) -> Storage:
        module, _, name = _OWN.get(base_uri.scheme, _ANY_OTHER).partition(":")
        storage: Storage = getattr(importlib.import_module(module), name)(base_uri, self._settings)
        return storage
