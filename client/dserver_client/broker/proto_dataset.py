"""A proto-dataset, kept in a private directory on this machine until it is deposited.

.. code-block:: none

    <uuid>-<base URI's hash>/
        admin_metadata.json     dtool's admin metadata, and the dataset's URI
        README.yml
        items.jsonl             path, size, time and MD5 of each item; a path's last line counts
        item_metadata.jsonl     of which dtool makes overlays when it freezes
        data/<identifier>       the items
        tags/<hash>.json        one file for each tag, annotation and overlay, so that commands
        annotations/...         that run at the same time do not undo each other's changes, under
        overlays/...            names that are safe on every file system
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from dtoolcore.utils import generate_identifier

from dserver_client.broker.copying import Copied, copy
from dserver_client.broker.entries import ENTRIES
from dserver_client.broker.errors import BrokerError, NoSuchEntry
from dserver_client.broker.json_lines import JSONLines
from dserver_client.broker.locks import Locks
from dserver_client.broker.names import check_name, check_relpath
from dserver_client.errors import NotSupported
from dserver_client.private_files import make_private_directory, write_private

_URI = "dserver_uri"


@dataclass(frozen=True)
class Contents:
    """All that a freeze deposits of a proto-dataset; entries are by name."""

    admin_metadata: dict[str, Any]
    readme: str
    items: dict[str, Copied]
    tags: dict[str, Any]
    annotations: dict[str, Any]
    overlays: dict[str, Any]


class ProtoDataset:
    """One proto-dataset; ``exists`` tells whether it has been created and not yet deposited.

    What changes it raises FreezeRunning while it is being frozen, NotSupported if it was frozen.
    """

    def __init__(self, uri: str, directory: Path) -> None:
        self.uri = uri
        self.directory = directory
        self._locks = Locks(uri, directory)
        self._admin_metadata = directory / "admin_metadata.json"
        self._item_lines = JSONLines(directory / "items.jsonl")
        self._items: dict[str, Copied] = {}
        self._metadata_lines = JSONLines(directory / "item_metadata.jsonl")
        self._metadata: dict[str, dict[str, Any]] = {}
        self._metadata_keys: dict[str, None] = {}

    def exists(self) -> bool:
        return self._admin_metadata.is_file()

    def create(self, admin_metadata: dict[str, Any]) -> None:
        """Make it, empty.

        :raises BrokerError: if it exists.
        """
        check_name("dataset", admin_metadata["name"])
        with self._locks.changing():
            if self.exists():
                raise BrokerError(f"{self.uri} is a proto-dataset already.")
            # A process that was killed while it deleted an earlier one may have left its items.
            shutil.rmtree(self.directory, ignore_errors=True)
            for name in ("data", *ENTRIES):
                make_private_directory(self.directory / name)
            self._write(self._admin_metadata, {**admin_metadata, _URI: self.uri})

    def put_admin_metadata(self, admin_metadata: dict[str, Any]) -> None:
        check_name("dataset", admin_metadata["name"])
        with self._changing():
            self._write(self._admin_metadata, {**admin_metadata, _URI: self.uri})

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._locks.changing():
            self._check_exists()
            yield

    @contextmanager
    def freezing(self) -> Iterator[None]:
        """Freeze it in this context, in which no other process changes it.

        :raises FreezeRunning: if it is being frozen, NotSupported if it was.
        """
        with self._locks.freezing():
            self._check_exists()
            yield

    def _check_exists(self) -> None:
        if not self.exists():
            raise NotSupported(f"{self.uri} is frozen: it cannot be changed.")

    def contents(self) -> Contents:
        """Read everything anew."""
        entries = {kind: self.entries(kind) for kind in ENTRIES}
        return Contents(self.admin_metadata(), self.readme(), dict(self.items()), **entries)

    def remove(self) -> None:
        """Delete it; what a crash leaves of it is no proto-dataset any more."""
        self._admin_metadata.unlink()
        shutil.rmtree(self.directory, ignore_errors=True)

    def admin_metadata(self) -> dict[str, Any]:
        metadata = _read(self._admin_metadata)
        del metadata[_URI]
        return metadata

    def manifest(self) -> dict[str, Any]:
        raise BrokerError(f"{self.uri} is a proto-dataset: it has a manifest when it is frozen.")

    def readme(self) -> str:
        try:
            return (self.directory / "README.yml").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def put_readme(self, content: str) -> None:
        with self._changing():
            write_private(self.directory / "README.yml", content.encode())

    # Items

    def relpaths(self) -> list[str]:
        return list(self.items())

    def size_in_bytes(self, relpath: str) -> int:
        return self._item(relpath).size_in_bytes

    def utc_timestamp(self, relpath: str) -> float:
        """Return when the file changed last, in seconds."""
        return self._item(relpath).mtime_ns / 1e9

    def hash(self, relpath: str) -> str:
        return self._item(relpath).hash

    def put_item(self, path: Path, relpath: str, cache: Path) -> None:
        """Copy a file into the proto-dataset, in place of what it has at this path.

        :raises ClientError: if the path cannot be an item's, or the file cannot be copied.
        """
        check_relpath(relpath)
        with self._changing():
            # To copy a large file in vain takes long.
            target = self.item_path(generate_identifier(relpath))
        partial = target.with_name(f"{target.name}.{uuid4().hex}.part")
        try:
            copied = copy(path, partial, cache)
            with self._changing():
                os.replace(partial, target)
                self._item_lines.append({"relpath": relpath, **asdict(copied)})
        finally:
            # It is still there if both are links to one file: replacing does nothing then.
            with suppress(OSError):
                partial.unlink()

    def items(self) -> dict[str, Copied]:
        """Return what is known of each item, by its path within the dataset."""
        for line in self._item_lines.read_new():
            relpath = line.pop("relpath")
            self._items[relpath] = Copied(**line)
        return self._items

    def item_path(self, identifier: str) -> Path:
        return self.directory / "data" / identifier

    def unlisted(self) -> list[Path]:
        """Return files that were not added to their end: nothing is known of them."""
        known = {generate_identifier(relpath) for relpath in self.items()}
        files = (self.directory / "data").iterdir()
        return sorted(file for file in files if not file.suffix and file.name not in known)

    def _item(self, relpath: str) -> Copied:
        try:
            return self.items()[relpath]
        except KeyError:
            raise NoSuchEntry(f"{self.uri} has no item {relpath!r}.") from None

    def add_item_metadata(self, relpath: str, key: str, value: object) -> None:
        """Keep a value for the overlay that dtool makes of this key when it freezes."""
        check_name("overlay", key)
        if relpath not in self.items():
            raise NoSuchEntry(f"{self.uri} has no item {relpath!r}; add the item first.")
        with self._changing():
            self._metadata_lines.append({"relpath": relpath, "key": key, "value": value})

    def item_metadata(self, relpath: str) -> dict[str, Any]:
        """Return the item's values, None for keys that only other items have.

        An overlay has a value for each item.
        """
        for line in self._metadata_lines.read_new():
            self._metadata.setdefault(line["relpath"], {})[line["key"]] = line["value"]
            self._metadata_keys[line["key"]] = None
        return {**dict.fromkeys(self._metadata_keys), **self._metadata.get(relpath, {})}

    # Tags, annotations and overlays

    def put(self, kind: str, name: str, value: object) -> None:
        """Set a tag, an annotation or an overlay, whichever directory ``kind`` is."""
        check_name(ENTRIES[kind], name)
        with self._changing():
            self._write(self._entry(kind, name), {"name": name, "value": value})

    def names(self, kind: str) -> list[str]:
        return list(self.entries(kind))

    def get(self, kind: str, name: str) -> Any:
        try:
            return _read(self._entry(kind, name))["value"]
        except FileNotFoundError:
            raise NoSuchEntry(f"{self.uri} has no {ENTRIES[kind]} {name!r}.") from None

    def delete(self, kind: str, name: str) -> None:
        with self._changing():
            try:
                self._entry(kind, name).unlink()
            except FileNotFoundError:
                raise NoSuchEntry(f"{self.uri} has no {ENTRIES[kind]} {name!r}.") from None

    def entries(self, kind: str) -> dict[str, Any]:
        """Return all tags, annotations or overlays, by their names."""
        read = [_read(path) for path in (self.directory / kind).glob("*.json")]
        return {entry["name"]: entry["value"] for entry in read}

    def _entry(self, kind: str, name: str) -> Path:
        return self.directory / kind / f"{hashlib.sha256(name.encode()).hexdigest()}.json"

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BrokerError(f"This cannot be kept as JSON: {error}.") from error
        write_private(path, text.encode())


class ProtoDatasets:
    """All proto-datasets that wait on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def at(self, uri: str) -> ProtoDataset:
        """Return the proto-dataset of a URI, which may not exist yet."""
        base_uri, _, uuid = uri.rpartition("/")
        suffix = hashlib.sha256(base_uri.encode()).hexdigest()[:12]
        return ProtoDataset(uri, self._directory / f"{uuid}-{suffix}")

    def __iter__(self) -> Iterator[ProtoDataset]:
        for path in sorted(self._directory.glob("*/admin_metadata.json")):
            try:
                yield ProtoDataset(_read(path)[_URI], path.parent)
            except FileNotFoundError:
                # It has just been deposited.
                continue


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_bytes())
    return value
