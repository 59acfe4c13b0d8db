"""Where in a bucket each dataset is: below the prefix that its registration key holds.

Knows what the store has said of whom, which never changes, and where to look if it says nothing.
"""

from __future__ import annotations

from collections.abc import Set

from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import (
    Layout,
    prefix_in,
    registration_key,
    uuids_in,
)

_KEPT = 10_000


class Places:
    """The places of one bucket's datasets, as far as they had to be asked for."""

    def __init__(self, s3: S3Connection) -> None:
        self._s3 = s3
        self._prefixes: dict[str, str] = {}

    def of(self, uuid: str, fresh: bool = False) -> Layout:
        """Return where a dataset is or, if the store does not say, where a new one would be.

        :param fresh: ask the store, whatever it said before.
        """
        if not fresh and uuid in self._prefixes:
            return Layout(self._prefixes[uuid], uuid)
        registered = self._s3.get(registration_key(uuid))
        if registered is None:
            return Layout(self._s3.dataset_prefix, uuid)
        layout = Layout(prefix_in(registered, uuid), uuid)
        self.remember(layout)
        return layout

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
        unplaced = uuids - self._prefixes.keys()
        keys = (key for key, _ in self._s3.listing("")) if unplaced else ()
        return unplaced.intersection(uuid for key in keys for uuid in uuids_in(key))
