"""dtool's storage broker for ``dserver://``.

A dataset under such a URI is either a proto-dataset that waits on this machine, or a frozen one at
a dserver; the broker passes dtool's calls on to whichever it is at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dtoolcore.filehasher import FileHasher, md5sum_hexdigest
from dtoolcore.storagebroker import BaseStorageBroker

from dserver_client.broker.connection import connect
from dserver_client.broker.errors import BrokerError, shown_by_dtool
from dserver_client.broker.freezing import freeze
from dserver_client.broker.frozen_dataset import FrozenDataset
from dserver_client.broker.proto_dataset import ProtoDataset
from dserver_client.errors import NotSupported, UsageError


@shown_by_dtool
class DserverStorageBroker(BaseStorageBroker):
    """What dtool needs to read, create and freeze datasets under ``dserver://``.

    Its methods are those of ``dtoolcore.storagebroker.BaseStorageBroker``; they raise BrokerError.
    """

    key = "dserver"
    hasher = FileHasher(md5sum_hexdigest)

    def __init__(self, uri: str, config_path: str | None = None) -> None:
        self._connection, self._address = connect(uri)
        self._proto = self._connection.proto_dataset(self._address)
        self._frozen_metadata: dict[str, Any] = {}
        self._is_new = False

    @property
    def _is_waiting(self) -> bool:
        return self._proto is not None and self._proto.exists()

    @property
    def _dataset(self) -> ProtoDataset | FrozenDataset:
        if self._proto is not None and self._proto.exists():
            return self._proto
        return self._connection.frozen_dataset(self._address)

    # URIs

    @classmethod
    def list_dataset_uris(cls, base_uri: str, config_path: str | None) -> list[str]:
        connection, address = connect(base_uri)
        return connection.dataset_uris(address)

    @classmethod
    def generate_uri(cls, name: str, uuid: str, base_uri: str) -> str:
        connection, address = connect(base_uri)
        return connection.new_uri(address, uuid)

    def generate_base_uri(self, uri: str) -> str:
        connection, address = connect(uri)
        return connection.base_uri(address)

    # Reading

    def has_admin_metadata(self) -> bool:
        if self._address.uuid is None:
            return False
        return self._is_waiting or self._connection.has(self._address)

    def get_admin_metadata(self) -> dict[str, Any]:
        if self._proto is not None and self._proto.exists():
            return self._proto.admin_metadata()
        return self._connection.admin_metadata(self._address)

    def get_readme_content(self) -> str:
        return self._dataset.readme()

    def get_manifest(self) -> dict[str, Any]:
        return self._dataset.manifest()

    def list_tags(self) -> list[str]:
        return self._dataset.names("tags")

    def list_annotation_names(self) -> list[str]:
        return self._dataset.names("annotations")

    def get_annotation(self, annotation_name: str) -> Any:
        return self._dataset.get("annotations", annotation_name)

    def list_overlay_names(self) -> list[str]:
        return self._dataset.names("overlays")

    def get_overlay(self, overlay_name: str) -> Any:
        return self._dataset.get("overlays", overlay_name)

    def get_item_abspath(self, identifier: str) -> str:
        return str(self._dataset.item_path(identifier))

    def iter_item_handles(self) -> Iterator[str]:
        return iter(self._dataset.relpaths())

    def get_size_in_bytes(self, handle: str) -> int:
        return self._dataset.size_in_bytes(handle)

    def get_utc_timestamp(self, handle: str) -> float | None:
        return self._dataset.utc_timestamp(handle)

    def get_hash(self, handle: str) -> str | None:
        return self._dataset.hash(handle)

    # Writing

    def create_structure(self) -> None:
        if self._proto is None or self._address.base_uri is None:
            raise UsageError(f"{self._address} has no base URI, such as dserver://host/s3/bucket.")
        if self._proto.exists():
            raise BrokerError(f"{self._address} is a proto-dataset already.")
        self._connection.check_may_create(self._address)
        self._is_new = True

    def put_admin_metadata(self, admin_metadata: dict[str, Any]) -> None:
        frozen = admin_metadata["type"] == "dataset"
        if self._is_waiting and frozen:
            # It is a proto-dataset until it is deposited, in post_freeze_hook.
            self._frozen_metadata = dict(admin_metadata)
        elif self._proto is not None and self._is_new and not frozen:
            self._proto.create(admin_metadata)
            self._is_new = False
        elif self._proto is not None and self._is_waiting:
            self._proto.put_admin_metadata(admin_metadata)
        else:
            raise NotSupported(f"{self._address} is frozen: its name cannot be changed.")

    def put_manifest(self, manifest: dict[str, Any]) -> None:
        """Do nothing: dserver writes the manifest of the items that are announced."""

    def put_readme(self, content: str) -> None:
        self._dataset.put_readme(content)

    def update_readme(self, content: str) -> None:
        self._dataset.put_readme(content)

    def put_tag(self, tag: str) -> None:
        self._dataset.put("tags", tag, None)

    def delete_tag(self, tag: str) -> None:
        self._dataset.delete("tags", tag)

    def put_annotation(self, annotation_name: str, annotation: Any) -> None:
        self._dataset.put("annotations", annotation_name, annotation)

    def delete_annotation(self, annotation_name: str) -> None:
        self._dataset.delete("annotations", annotation_name)

    def put_overlay(self, overlay_name: str, overlay: dict[str, Any]) -> None:
        self._dataset.put("overlays", overlay_name, overlay)

    def put_item(self, fpath: str, relpath: str) -> str:
        self._proto_dataset().put_item(Path(fpath), relpath, self._connection.cache_directory)
        return relpath

    def add_item_metadata(self, handle: str, key: str, value: Any) -> None:
        self._proto_dataset().add_item_metadata(handle, key, value)

    def get_item_metadata(self, handle: str) -> dict[str, Any]:
        return self._proto_dataset().item_metadata(handle)

    def pre_freeze_hook(self) -> None:
        self._proto_dataset()

    def post_freeze_hook(self) -> None:
        base_uri = str(self._address.base_uri)
        freeze(self._proto_dataset(), self._frozen_metadata, self._connection.server, base_uri)

    def _list_historical_readme_keys(self) -> list[str]:
        return []

    def _proto_dataset(self) -> ProtoDataset:
        if self._proto is None or not self._proto.exists():
            raise NotSupported(f"{self._address} is frozen: its items cannot be changed.")
        return self._proto
