"""Any dtool storage broker that knows how to sign, by the methods that the spec asks of it.

Knows dtool's broker interface and nothing of what is behind it. A broker gives no way to copy or
to list in bulk, so items are signed for their real keys and verified one by one: how firmly a URL
is bound to the announced bytes is up to ``generate_signed_item_write_url`` of the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import dtoolcore

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import (
    DatasetNotFound,
    DiscardUnsupported,
    ItemNotFound,
    SignedURLError,
    SigningUnsupported,
    StorageAway,
    StorageUnavailable,
)
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage import claims
from dserver_signed_url_plugin.storage.circuit_breaker import apart
from dserver_signed_url_plugin.storage.documents import is_name, tag_names
from dserver_signed_url_plugin.storage.dtool_brokers import installed, made, missing_in
from dserver_signed_url_plugin.storage.error_translation import log_failure
from dserver_signed_url_plugin.storage.values import (
    DOCUMENTS,
    Claim,
    Contents,
    Freed,
    FrozenDataset,
    Item,
    Life,
    Promotion,
    ProtoDataset,
    ReadURLs,
    SignedRequest,
    StoredItem,
    WriteURLs,
)
from dserver_signed_url_plugin.uris import BaseURI

_CLAIM = "claim"
# The dataset in whose name a broker is asked whether it can sign at all.
_NOBODY = "00000000-0000-0000-0000-000000000000"


class BrokerStorage:
    """The datasets of one base URI, by way of dtool's broker for its scheme.

    :raises SigningUnsupported: if there is no such broker, or it cannot sign.
    """

    may_hang = True
    max_relpath_bytes = 1500
    max_item_bytes = 5 * 1024**3
    stages_all = False
    lists_objects = False

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._base_uri, self._settings = base_uri, settings
        found = installed(base_uri.scheme)
        self._class, self._name = found, found.__name__
        self.signed_by = f"the storage broker {self._name}"
        if missing := missing_in(found):
            raise SigningUnsupported(
                f"The storage broker {self._name}", f"it lacks {', '.join(missing)}"
            )
        apart(self._try)

    def life(self, seconds: int, writing: bool = False) -> Life:
        """Return what was asked for: the broker signs from now on, or a little later."""
        return Life.from_now(seconds, seconds)

    # Reading -------------------------------------------------------------------------------

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Let the broker sign all of a dataset; its methods have no word for names."""
        with self._broker(uuid) as broker:
            if not broker.has_admin_metadata():
                raise DatasetNotFound("Storage", uuid)
            urls = broker.generate_dataset_signed_urls(expiry_seconds=life.seconds)
            entries = broker.get_manifest()["items"]
            return ReadURLs(
                urls["admin_metadata_url"],
                urls["manifest_url"],
                urls["readme_url"],
                urls["item_urls"],
                _named(urls.get("overlay_urls", {})),
                _named(urls.get("annotation_urls", {})),
                tag_names(urls.get("tags", ())),
                {name: entry["relpath"] for name, entry in entries.items()},
                {name: entry["size_in_bytes"] for name, entry in entries.items()},
            )

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Let the broker sign one item, if the manifest has it; under which name is up to it."""
        with self._broker(uuid) as broker:
            if identifier not in broker.get_manifest()["items"]:
                raise ItemNotFound(identifier)
            key = _item_key(broker, identifier)
            return str(broker.generate_signed_read_url(key, expiry_seconds=life.seconds))

    # Uploading -----------------------------------------------------------------------------

    def check_creator(self, username: str) -> str | None:
        """Take any: brokers keep admin metadata as JSON."""
        return None

    def check_tag(self, tag: str) -> str | None:
        """Take any that dtool takes."""
        return None

    def open(self, opening: ProtoDataset, check: Callable[[], None]) -> None:
        """Write the claim and a proto-dataset, as dtool does."""
        with self._broker(opening.uuid) as broker:
            if broker.has_admin_metadata():
                kind = broker.get_admin_metadata().get("type")
                claims.refuse_occupied(opening, kind, _text(broker, _key(broker, _CLAIM)))
            check()
            broker.put_text(_key(broker, _CLAIM), claims.written(opening))
            broker.create_structure()
            for tag in opening.tags:
                broker.put_tag(tag)
            for name, annotation in opening.annotations.items():
                broker.put_annotation(name, annotation)
            for name, overlay in opening.overlays.items():
                broker.put_overlay(name, overlay)
            check()
            broker.put_admin_metadata(dict(opening.admin_metadata))

    def write_urls(
        self, uuid: str, staging: str, items: Iterable[Item], pinned: bool, life: Life
    ) -> WriteURLs:
        """Let the broker sign: documents for a place beside the dataset, items for their keys."""
        with self._broker(uuid) as broker:

            def request(item: Item) -> SignedRequest:
                if pinned and item.hash and hasattr(broker, "generate_signed_item_write_url"):
                    url, headers = broker.generate_signed_item_write_url(
                        item.relpath, item.hash, expiry_seconds=life.seconds
                    )
                    return SignedRequest(url, headers)
                return SignedRequest(sign(_item_key(broker, item.identifier)))

            def sign(key: str) -> str:
                return str(broker.generate_signed_write_url(key, expiry_seconds=life.seconds))

            return WriteURLs(
                {name: sign(_key(broker, staging, name)) for name in DOCUMENTS},
                {item.identifier: request(item) for item in items},
            )

    def delete_outdated_items(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete nothing: what a broker signs may write over what is there."""

    def holdings(self, uuid: str, staging: str) -> Contents:
        """Ask the broker for the properties of every item that it has."""
        with self._broker(uuid) as broker:
            found = Contents(opened=broker.has_admin_metadata())
            if not found.opened:
                return found
            for handle in broker.iter_item_handles():
                said = broker.item_properties(handle)
                written = datetime.fromtimestamp(said["utc_timestamp"], timezone.utc)
                found.final[dtoolcore.utils.generate_identifier(said["relpath"])] = StoredItem(
                    said["size_in_bytes"], said["hash"], written
                )
            keys = [_key(broker, _CLAIM), *(_key(broker, staging, name) for name in DOCUMENTS)]
            found.temporary = dict.fromkeys(key for key in keys if _text(broker, key) is not None)
            return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, or None where none was PUT."""
        with self._broker(uuid) as broker:
            text = _text(broker, _key(broker, staging, document))
            return None if text is None else text.encode()

    def promote(
        self, uuid: str, staging: str, promotions: Sequence[Promotion]
    ) -> dict[str, StoredItem]:
        """Copy nothing: a broker's items are never staged."""
        return {}

    def freeze(self, uuid: str, freezing: FrozenDataset, check: Callable[[], None]) -> None:
        """Write README, manifest, and admin metadata last, as dtool's freeze does."""
        with self._broker(uuid) as broker:
            if freezing.readme is not None:
                check()
                broker.put_readme(freezing.readme)
            check()
            broker.put_manifest(freezing.manifest)
            check()
            broker.put_admin_metadata(dict(freezing.admin_metadata))
            broker.post_freeze_hook()
        if not self.is_frozen(uuid, freezing):
            # Perhaps because somebody else has taken over.
            check()
            raise StorageUnavailable(
                f"The storage broker {self._name}", f"has not kept what was written of {uuid}"
            )

    def is_frozen(self, uuid: str, freezing: FrozenDataset) -> bool:
        """Let the broker read back what was written."""
        with self._broker(uuid) as broker:
            if not broker.has_admin_metadata() or _text(broker, broker.get_manifest_key()) is None:
                return False
            kept = broker.get_admin_metadata().get("type"), broker.get_manifest()
            is_readme = freezing.readme in (None, _text(broker, broker.get_readme_key()))
            return is_readme and kept == ("dataset", freezing.manifest)

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README that the dataset has, or None."""
        with self._broker(uuid) as broker:
            try:
                text = _text(broker, broker.get_readme_key())
            except UnicodeDecodeError as error:
                # What cannot be decoded is there all the same.
                return bytes(error.object)
            return None if text is None else text.encode()

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete the keys that holdings named; a broker cannot be asked for others."""
        with self._broker(uuid) as broker:
            for key in temporary or ():
                broker.delete_key(key)

    def has_admin_metadata(self, uuid: str) -> bool:
        """Ask the broker."""
        with self._broker(uuid) as broker:
            return bool(broker.has_admin_metadata())

    def kind(self, uuid: str) -> str | None:
        """Return the type that the admin metadata says."""
        with self._broker(uuid) as broker:
            if not broker.has_admin_metadata():
                return None
            return str(broker.get_admin_metadata().get("type"))

    def size(self, uuid: str, claim: Claim) -> Freed:
        """Refuse, as discard does."""
        raise self._undeletable(uuid)

    def discard(self, uuid: str, claim: Claim, check: Callable[[], None]) -> Freed:
        """Refuse: dtool's brokers have no way to delete a proto-dataset."""
        raise self._undeletable(uuid)

    def elsewhere(self, uuids: Set[str]) -> Set[str]:
        """Return all: a broker cannot be asked what else its store has."""
        return uuids

    def release_uuid(self, uuid: str) -> str:
        """Leave everything: a broker has no way to delete it."""
        return f"what {self._name} keeps of it"

    # Helpers -------------------------------------------------------------------------------

    def _undeletable(self, uuid: str) -> DiscardUnsupported:
        return DiscardUnsupported(f"The storage broker {self._name}", self._base_uri.dataset(uuid))

    def _try(self) -> None:
        with self._broker(_NOBODY):
            pass

    @contextmanager
    def _broker(self, uuid: str) -> Iterator[Any]:
        """Make the broker of one dataset; whatever it raises becomes a sentence."""
        try:
            broker = made(self._class, str(self._base_uri.dataset(uuid)), self._settings)
            if not broker.supports_signing():
                raise SigningUnsupported(f"The storage broker {self._name}", "it says so itself")
            yield broker
        except (SignedURLError, *database.REFUSALS):
            # The latter say that nobody knows whether another has taken over.
            raise
        # A broker is anybody's code, and dtool names no errors that it may raise.
        except Exception as error:
            kind = type(error).__name__
            log_failure(f"Storage broker {self._name}", "call", str(self._base_uri), kind)
            passes = isinstance(error, ConnectionError | TimeoutError)
            raise (StorageAway if passes else StorageUnavailable)(
                f"The storage broker {self._name}", f"failed ({kind})"
            ) from error


def _named(urls: Mapping[str, str]) -> dict[str, str]:
    """Leave out what a broker takes for a name, such as that of a folder, and is none."""
    return {name: url for name, url in urls.items() if is_name(name)}


def _item_key(broker: Any, identifier: str) -> str:
    # dtool's brokers either have this prefix or keep items at the top.
    return str(getattr(broker, "data_key_prefix", "")) + identifier


def _key(broker: Any, *names: str) -> str:
    """Return a key beside the README, where brokers keep its older versions too."""
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
