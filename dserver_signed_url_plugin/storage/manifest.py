"""What a stored manifest of dtool's says to a reader: which items there are, and their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dserver_signed_url_plugin.errors import DatasetNotFound, StorageUnavailable


@dataclass(frozen=True)
class Manifest:
    """A manifest's items by identifier: each one's relpath, and bytes as far as it has them.

    An item without a relpath that can be read goes by its identifier.
    """

    relpaths: Mapping[str, str]
    sizes: Mapping[str, int]

    @classmethod
    def read(cls, content: bytes | None, uuid: str) -> Manifest:
        """Read what is stored.

        :raises DatasetNotFound: where there is nothing.
        :raises StorageUnavailable: for what is no manifest.
        """
        if content is None:
            raise DatasetNotFound("Storage", uuid)
        try:
            items: dict[str, Any] = {**json.loads(content)["items"]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StorageUnavailable(
                "Storage", f"holds a manifest of dataset {uuid} that cannot be read"
            ) from error
        named = {identifier: identifier for identifier in items} | _facts(items, "relpath", str)
        return cls(named, _facts(items, "size_in_bytes", int))


def relpath_in(content: bytes | None, identifier: str) -> str:
    """Return an item's relpath as a stored manifest has it; its identifier, if it has none."""
    try:
        return Manifest.read(content, "").relpaths.get(identifier, identifier)
    except (DatasetNotFound, StorageUnavailable):
        return identifier


def _facts(items: Mapping[str, Any], name: str, kind: type) -> dict[str, Any]:
    """Return what the items say under one name, where they say it as they should."""
    return {
        identifier: entry[name]
        for identifier, entry in items.items()
        if isinstance(entry, dict) and isinstance(entry.get(name), kind)
    }
