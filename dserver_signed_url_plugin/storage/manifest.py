"""The manifest of a dataset, and what else a dataset is frozen with.

Reads and writes dtool's JSON; makes no request. Source: ``generate_manifest`` of dtoolcore 3.18.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dserver_signed_url_plugin.errors import DatasetNotFound, StorageUnavailable
from dserver_signed_url_plugin.storage.item_table import ItemTable
from dserver_signed_url_plugin.storage.values import Item

HASH_FUNCTION = "md5sum_hexdigest"


class _Entry(msgspec.Struct, gc=False):
    """An item in dtool's document."""

    relpath: str
    size_in_bytes: int | None
    hash: str | None
    utc_timestamp: int | float | None


class _Document(msgspec.Struct):
    """dtool's document, as this plugin and dtool write it."""

    items: dict[str, _Entry]
    dtoolcore_version: str = ""


@dataclass(frozen=True)
class Manifest:
    """Items by identifier, and the version of dtoolcore that is named as their author."""

    items: Mapping[str, Item] = field(default_factory=dict)
    dtoolcore_version: str = ""

    @classmethod
    def of(cls, items: Iterable[Item], dtoolcore_version: str) -> Manifest:
        """Return the manifest of these items."""
        return cls({item.identifier: item for item in items}, dtoolcore_version)

    @classmethod
    def from_json(cls, content: bytes | str) -> Manifest:
        """Read a manifest.

        :raises ValueError: if it is not a manifest.
        """
        try:
            document = msgspec.json.decode(content, type=_Document)
        except (ValueError, RecursionError):
            return cls._from_any_json(content)
        items = {
            key: Item(
                key, entry.relpath or key, entry.size_in_bytes, entry.hash, entry.utc_timestamp
            )
            for key, entry in document.items.items()
        }
        return cls(items, document.dtoolcore_version)

    @classmethod
    def _from_any_json(cls, content: bytes | str) -> Manifest:
        try:
            return cls.from_dict(json.loads(content))
        except RecursionError as error:
            raise ValueError("not a manifest") from error

    @classmethod
    def from_dict(cls, document: Any) -> Manifest:
        """Take over dtool's document; a fact of an item that has the wrong type is left out.

        An item without a relpath is named by its identifier.

        :raises ValueError: if it is not a manifest.
        """
        try:
            found = ((_encodable(key), entry) for key, entry in document["items"].items())
            items = {identifier: _item(identifier, entry) for identifier, entry in found}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a manifest") from error
        return cls(items, _fact(document, "dtoolcore_version", str) or "")

    @classmethod
    def stored(cls, content: bytes | None, uuid: str) -> Manifest:
        """Read the manifest that storage holds of a dataset.

        :raises DatasetNotFound: if there is none.
        :raises StorageUnavailable: if it cannot be read.
        """
        if content is None:
            raise DatasetNotFound("Storage", uuid)
        try:
            return cls.from_json(content)
        except ValueError as error:
            raise StorageUnavailable(
                "Storage", f"holds a manifest of dataset {uuid} that cannot be read"
            ) from error

    @property
    def size_in_bytes(self) -> int:
        """The bytes of all items whose size is known."""
        return sum(item.size_in_bytes or 0 for item in self.items.values())

    def as_dict(self) -> dict[str, Any]:
        """Return dtool's document."""
        return self._document(
            {
                identifier: {
                    "relpath": item.relpath,
                    "size_in_bytes": item.size_in_bytes,
                    "hash": item.hash,
                    "utc_timestamp": item.utc_timestamp,
                }
                for identifier, item in self.items.items()
            }
        )

    def to_json(self) -> str:
        """Return dtool's document as compact JSON."""
        items = {
            identifier: _Entry(item.relpath, item.size_in_bytes, item.hash, item.utc_timestamp)
            for identifier, item in self.items.items()
        }
        return msgspec.json.encode(self._document(items)).decode()

    def as_dtool_writes_it(self) -> str:
        """Return dtool's document as JSON, formatted as dtool does."""
        # json indents in Python, which takes five times as long.
        compact = json.dumps(self.as_dict(), sort_keys=True)
        return msgspec.json.format(compact, indent=2)

    def _document(self, items: Mapping[str, object]) -> dict[str, Any]:
        return {
            "items": items,
            "hash_function": HASH_FUNCTION,
            "dtoolcore_version": self.dtoolcore_version,
        }


@dataclass(frozen=True)
class FrozenDataset:
    """What makes a proto-dataset a dataset; without a README it keeps the one it has."""

    readme: str | None
    manifest: Manifest
    admin_metadata: Mapping[str, Any]


def stored_items(content: bytes | None, uuid: str) -> Mapping[str, Item]:
    """Read the items of the manifest that storage holds of a dataset, in little memory if possible.

    :raises DatasetNotFound: if there is none.
    :raises StorageUnavailable: if it cannot be read.
    """
    try:
        return ItemTable.from_json(content or b"")
    except ValueError:
        return Manifest.stored(content, uuid).items


def relpath_in(manifest: bytes | None, identifier: str) -> str:
    """Return an item's relpath as a stored manifest has it; its identifier if it has none."""
    try:
        item = Manifest.from_json(manifest or b"").items.get(identifier)
    except ValueError:
        return identifier
    return identifier if item is None else item.relpath


def _item(identifier: str, entry: object) -> Item:
    return Item(
        identifier,
        _encodable(_fact(entry, "relpath", str) or identifier),
        _whole(_fact(entry, "size_in_bytes", int | float)),
        _text(_fact(entry, "hash", object)),
        _fact(entry, "utc_timestamp", int | float),
    )


def _encodable(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON may have and UTF-8 has not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(number: float | None) -> int | None:
    """Return a number, which some languages write as 12.0, as an integer if it is one."""
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number


def _text(value: object) -> str | None:
    """Return a hash as text: one of another type was announced too, and matches nothing."""
    return None if value is None else str(value)


def _fact(entry: object, name: str, kind: Any) -> Any:
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, kind) else None
