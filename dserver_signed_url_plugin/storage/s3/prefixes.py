"""Under which prefix of a bucket each dataset is: the content of its registration key.

The content of a registration key never changes, so it is cached; its absence is not.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from dserver_signed_url_plugin.storage.documents import type_in
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import (
    Layout,
    is_folder,
    prefix_in,
    registration_key,
    uuids_in,
)

_KEPT = 10_000
_MAX_ADMIN_METADATA = 1024 * 1024  # bytes; dtool's own are some hundred


@dataclass(frozen=True)
class DatasetPrefix:
    """The keys that a UUID has or would have, whether they are taken, and dtool's type."""

    layout: Layout
    is_taken: bool
    dataset_type: str | None


class DatasetPrefixes:
    """The prefixes of one bucket's datasets."""

    def __init__(self, s3: S3Connection) -> None:
        self._s3 = s3
        self._prefixes: dict[str, str] = {}

    def of(self, uuid: str, *, fresh: bool = False) -> Layout:
        """Return the keys of a dataset; those of a new one if it has no registration key.

        :param fresh: read the registration key again.
        """
        # One lookup: another thread may clear the cache between two.
        prefix = None if fresh else self._prefixes.get(uuid)
        if prefix is not None:
            return Layout(prefix, uuid)
        return self._registered(uuid) or Layout(self._s3.dataset_prefix, uuid)

    def find(self, uuid: str) -> DatasetPrefix:
        """Look up a dataset in the store."""
        registered = self._registered(uuid)
        layout = registered or Layout(self._s3.dataset_prefix, uuid)
        key = layout.document("admin_metadata")
        found = self._s3.find(key)
        if found is None:
            return DatasetPrefix(layout, registered is not None, None)
        # Stores and proxies may change or drop metadata, and leave the text as it was.
        dataset_type = found.metadata.get("type") or type_in(self._s3.get(key, _MAX_ADMIN_METADATA))
        return DatasetPrefix(layout, is_taken=True, dataset_type=dataset_type)

    def remember(self, layout: Layout) -> None:
        """Cache the prefix of a dataset."""
        if len(self._prefixes) >= _KEPT:
            self._prefixes.clear()
        self._prefixes[layout.uuid] = layout.prefix

    def forget(self, uuid: str) -> None:
        """Remove a dataset that was deleted from the cache."""
        self._prefixes.pop(uuid, None)

    def under_any(self, uuids: Set[str]) -> Set[str]:
        """Return the UUIDs that have keys under any prefix, but no known registration key.

        Lists the whole bucket, one request per 1,000 keys, unless all are known.
        """
        unknown = {uuid for uuid in uuids if uuid not in self._prefixes}
        found = self._s3.listing("") if unknown else ()
        keys = (key for key, stored in found if not is_folder(key, stored))
        return unknown.intersection(uuid for key in keys for uuid in uuids_in(key))

    def _registered(self, uuid: str) -> Layout | None:
        registered = self._s3.get(registration_key(uuid))
        if registered is None:
            return None
        layout = Layout(prefix_in(registered, uuid), uuid)
        self.remember(layout)
        return layout
