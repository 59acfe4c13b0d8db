"""Keeping proto-datasets by way of a storage broker, and letting it sign URLs to write to them.

A broker can neither copy nor list in bulk, so items are signed for their real keys and verified one
by one: how firmly a URL is bound to the announced bytes is up to the broker's
``generate_signed_item_write_url``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import dtoolcore

from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage import claims
from dserver_signed_url_plugin.storage.broker.connection import BrokerConnection, item_key
from dserver_signed_url_plugin.storage.manifest import FrozenDataset
from dserver_signed_url_plugin.storage.protocols import CheckLease, ItemDone, ignore_item_done
from dserver_signed_url_plugin.storage.values import (
    DOCUMENTS,
    Contents,
    Item,
    Life,
    Limits,
    ProtoDataset,
    SignedRequest,
    SignedRequests,
    StoredItem,
    WriteURLs,
)

_CLAIM = "claim"


class BrokerUploads:
    """Keeps proto-datasets until they are frozen."""

    may_hang = True
    limits = Limits()

    def __init__(self, broker: BrokerConnection) -> None:
        self._broker = broker

    def life(self, seconds: int) -> Life:
        """Return a life from now on: the broker signs a moment later."""
        return Life.from_now(seconds, seconds)

    def create(self, proto_dataset: ProtoDataset, check_lease: CheckLease) -> None:
        """Write the claim and a proto-dataset, as dtool does."""
        with self._broker.of(proto_dataset.uuid) as broker:
            if broker.has_admin_metadata():
                dataset_type = broker.get_admin_metadata().get("type")
                claim = _text(broker, _key(broker, _CLAIM))
                claims.refuse_occupied(proto_dataset, dataset_type, claim)
            check_lease()
            broker.put_text(_key(broker, _CLAIM), claims.to_json(proto_dataset.claim))
            broker.create_structure()
            for tag in proto_dataset.tags:
                broker.put_tag(tag)
            for name, annotation in proto_dataset.annotations.items():
                broker.put_annotation(name, annotation)
            for name, overlay in proto_dataset.overlays.items():
                broker.put_overlay(name, overlay)
            check_lease()
            broker.put_admin_metadata(dict(proto_dataset.admin_metadata))

    def write_urls(
        self, uuid: str, staging: str, items: Collection[Item], life: Life, *, pinned: bool
    ) -> WriteURLs:
        """Let the broker sign: documents for keys beside the README, items for their real keys."""
        with self._broker.of(uuid) as broker:
            can_pin = pinned and hasattr(broker, "generate_signed_item_write_url")

            def request(item: Item) -> SignedRequest:
                if can_pin and item.hash:
                    url, headers = broker.generate_signed_item_write_url(
                        item.relpath, item.hash, expiry_seconds=life.seconds
                    )
                    return SignedRequest(url, headers)
                return SignedRequest(sign(item_key(broker, item.identifier)))

            def sign(key: str) -> str:
                return str(broker.generate_signed_write_url(key, expiry_seconds=life.seconds))

            # At once, because a broker may fail.
            signed = {item.identifier: request(item) for item in items}
            return WriteURLs(
                documents={name: sign(_key(broker, staging, name)) for name in DOCUMENTS},
                items=SignedRequests.of(items, lambda item: signed[item.identifier]),
                pinned=can_pin and all(item.hash is not None for item in items),
            )

    def write_empty_items(self, uuid: str, items: Sequence[Item], seconds: float) -> Set[str]:
        """Let the broker put an empty file, one item after the other, if it can put any."""
        written: set[str] = set()
        ends = monotonic() + seconds
        with self._broker.of(uuid) as broker, TemporaryDirectory() as directory:
            empty = Path(directory, "empty")
            empty.touch()
            for item in items:
                if monotonic() >= ends:
                    break
                try:
                    broker.put_item(str(empty), item.relpath)
                except NotImplementedError:
                    break
                written.add(item.identifier)
        return written

    def contents(self, uuid: str, staging: str) -> Contents:
        """Read the properties of every item that the broker lists; no other object counts."""
        with self._broker.of(uuid) as broker:
            found = Contents(opened=broker.has_admin_metadata())
            if not found.opened:
                return found
            for handle in broker.iter_item_handles():
                properties = broker.item_properties(handle)
                written = datetime.fromtimestamp(properties["utc_timestamp"], timezone.utc)
                found.final[dtoolcore.utils.generate_identifier(properties["relpath"])] = (
                    StoredItem(properties["size_in_bytes"], properties["hash"], written)
                )
            keys = [_key(broker, _CLAIM), *(_key(broker, staging, name) for name in DOCUMENTS)]
            found.temporary = dict.fromkeys(key for key in keys if _text(broker, key) is not None)
            return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, or None if there is none."""
        with self._broker.of(uuid) as broker:
            text = _text(broker, _key(broker, staging, document))
            return None if text is None else text.encode()

    def freeze(
        self,
        uuid: str,
        frozen: FrozenDataset,
        check_lease: CheckLease,
        item_done: ItemDone = ignore_item_done,
    ) -> None:
        """Write README, manifest, and admin metadata last, as dtool's freeze does."""
        with self._broker.of(uuid) as broker:
            if frozen.readme is not None:
                check_lease()
                broker.put_readme(frozen.readme)
            check_lease()
            broker.put_manifest(frozen.manifest.as_dict())
            check_lease()
            broker.put_admin_metadata(dict(frozen.admin_metadata))
            broker.post_freeze_hook()
        if not self.is_frozen(uuid, frozen):
            # Perhaps because another request has taken over.
            check_lease()
            raise StorageUnavailable(
                f"The storage broker {self._broker.name}",
                f"has not kept what was written of {uuid}",
                StorageUnavailable.PAUSE,
            )

    def is_frozen(self, uuid: str, frozen: FrozenDataset) -> bool:
        """Let the broker read back what was written."""
        with self._broker.of(uuid) as broker:
            if not broker.has_admin_metadata() or _text(broker, broker.get_manifest_key()) is None:
                return False
            kept = broker.get_admin_metadata().get("type"), broker.get_manifest()
            is_readme = frozen.readme in (None, _text(broker, broker.get_readme_key()))
            return is_readme and kept == ("dataset", frozen.manifest.as_dict())

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README of the dataset, or None."""
        with self._broker.of(uuid) as broker:
            try:
                text = _text(broker, broker.get_readme_key())
            except UnicodeDecodeError as error:
                # It exists, although it cannot be decoded.
                return bytes(error.object)
            return None if text is None else text.encode()

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete the keys that contents() listed; a broker cannot list others."""
        with self._broker.of(uuid) as broker:
            for key in temporary or ():
                broker.delete_key(key)

    def has_admin_metadata(self, uuid: str) -> bool:
        """Ask the broker."""
        with self._broker.of(uuid) as broker:
            return bool(broker.has_admin_metadata())

    def dataset_type(self, uuid: str) -> str | None:
        """Return the type in the admin metadata."""
        with self._broker.of(uuid) as broker:
            if not broker.has_admin_metadata():
                return None
            return str(broker.get_admin_metadata().get("type"))


def _key(broker: Any, *names: str) -> str:
    """Return a key beside the README, where brokers also keep its older versions."""
    return "-".join([str(broker.get_readme_key()), *names])


def _text(broker: Any, key: str) -> str | None:
    """Return what is at a key, or None.

    dtool names no error for a missing key, so one counts as missing if the broker still answers
    for what must be there.
    """
    try:
        return str(broker.get_text(key))
    except UnicodeDecodeError:
        raise
    except Exception:
        if not broker.has_admin_metadata():
            raise
        return None
