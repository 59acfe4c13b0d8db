"""What is known of registered datasets, in a limited number of bytes per process.

Kept are manifests and the relpaths of items, which do not change while a dataset is registered.
That the objects are still in the store is assumed for a minute.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from sys import getsizeof
from time import monotonic
from typing import Any

from dserver_signed_url_plugin.storage.values import Item

SECONDS = 60.0
# Approximately, in bytes: an entry without what it holds, and an item that is not in a table.
_ENTRY_BYTES, _ITEM_BYTES = 500, 600


@dataclass(frozen=True)
class CachedManifest:
    """The items of a manifest, the ETag of its object, and when that was last seen (monotonic)."""

    items: Mapping[str, Item]
    etag: str
    seen_at: float


class BoundedCache:
    """Values in a limited number of bytes; the least recently used go first.

    Safe to share between threads.

    :param most_bytes: approximately, of all values; 0 to keep none.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return a value, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Hashable, value: object, size: int) -> None:
        """Keep a value of approximately ``size`` bytes in place of an older one."""
        size += _ENTRY_BYTES
        with self._lock:
            self._bytes -= self._entries.pop(key, (None, 0))[1]
            if size <= self._most_bytes:
                self._entries[key] = value, size
                self._bytes += size
            while self._bytes > self._most_bytes:
                self._bytes -= self._entries.popitem(last=False)[1][1]


class KnownDataset:
    """What a cache knows of one dataset.

    :param dataset: its ``repr`` differs from what it was if the dataset was registered anew.
    """

    def __init__(self, cache: BoundedCache, dataset: object) -> None:
        self._cache = cache
        # Every entry keeps its key: a digest is many times smaller than a dataset.
        self._key = blake2b(repr(dataset).encode(), digest_size=16).digest()

    @property
    def manifest(self) -> CachedManifest | None:
        """The manifest, which may have changed if its ETag has."""
        found: CachedManifest | None = self._cache.get(self._key)
        return found

    def keep(self, items: Mapping[str, Item], etag: str) -> None:
        """Keep the items of a manifest that the store has just shown to have this ETag."""
        size = getattr(items, "size_in_memory", _ITEM_BYTES * len(items))
        self._cache.put(self._key, CachedManifest(items, etag, monotonic()), size)

    def relpath(self, identifier: str) -> str | None:
        """Return the relpath of an item that the store had within the last minute, or None."""
        now = monotonic()
        relpath, seen_at = self._cache.get(self._item_key(identifier)) or (None, 0.0)
        if relpath is not None and now - seen_at < SECONDS:
            return str(relpath)
        manifest = self.manifest
        if manifest is None or now - manifest.seen_at >= SECONDS:
            return None
        item = manifest.items.get(identifier)
        return None if item is None else item.relpath

    def keep_relpath(self, identifier: str, relpath: str) -> None:
        """Keep the relpath of an item that the store has just shown."""
        self._cache.put(self._item_key(identifier), (relpath, monotonic()), getsizeof(relpath))

    def _item_key(self, identifier: str) -> bytes:
        return self._key + identifier.encode()


NOTHING_KNOWN = KnownDataset(BoundedCache(0), None)
