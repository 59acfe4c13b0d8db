"""Where in a bucket each dataset is: below the prefix that its registration key holds.

Knows what the store has said of whom, which never changes, and where to look if it says nothing.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from dserver_signed_url_plugin.storage.documents import kind_in
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import (
    Layout,
    is_folder,
    prefix_in,
    registration_key,
    uuids_in,
)

_KEPT = 10_000
_MOST_ADMIN_METADATA = 1024 * 1024  # bytes; dtool's own are some hundred


@dataclass(frozen=True)
class DatasetPrefix:
    """Where a dataset is or would be, whether there is any, and dtool's type of it."""

    layout: Layout
    is_taken: bool
    kind: str | None


class DatasetPrefixes:
    """The places of one bucket's datasets, as far as they had to be asked for."""

    def __init__(self, s3: S3Connection) -> None:
        self._s3 = s3
        self._prefixes: dict[str, str] = {}

    def of(self, uuid: str, fresh: bool = False) -> Layout:
        """Return where a dataset is or, if the store does not say, where a new one would be.

        :param fresh: ask the store, whatever it said before.
        """
        # Asked once: another thread may empty it between two questions.
        prefix = None if fresh else self._prefixes.get(uuid)
        if prefix is not None:
            return Layout(prefix, uuid)
        return self._registered(uuid) or Layout(self._s3.dataset_prefix, uuid)

    def look(self, uuid: str) -> DatasetPrefix:
        """Ask the store what there is of a dataset, whatever it said before."""
        registered = self._registered(uuid)
        layout = registered or Layout(self._s3.dataset_prefix, uuid)
        key = layout.document("admin_metadata")
        found = self._s3.find(key)
        if found is None:
            return DatasetPrefix(layout, registered is not None, None)
        # Stores and proxies may change or drop metadata, and leave the text as it was.
        kind = found.metadata.get("type") or kind_in(self._s3.get(key, _MOST_ADMIN_METADATA))
        return DatasetPrefix(layout, True, kind)

    def remember(self, layout: Layout) -> None:
        """Keep what the store says of a dataset."""
        if len(self._prefixes) >= _KEPT:
            self._prefixes.clear()
        self._prefixes[layout.uuid] = layout.prefix

    def forget(self, uuid: str) -> None:
        """Strike out a dataset that is no more."""
        self._prefixes.pop(uuid, None)

    def elsewhere(self, uuids: Set[str]) -> Set[str]:
        """Return those that have keys below any prefix, though the store did not say below which.

        Lists the whole bucket, one request per 1,000 keys, if there is any to be asked for.
        """
        unplaced = {uuid for uuid in uuids if uuid not in self._prefixes}
        found = self._s3.listing("") if unplaced else ()
        keys = (key for key, stored in found if not is_folder(key, stored))
        return unplaced.intersection(uuid for key in keys for uuid in uuids_in(key))

    def _registered(self, uuid: str) -> Layout | None:
        registered = self._s3.get(registration_key(uuid))
        if registered is None:
            return None
        layout = Layout(prefix_in(registered, uuid), uuid)
        self.remember(layout)
        return layout
