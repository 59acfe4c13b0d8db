"""What S3 does for this plugin: sign URLs, and keep proto-datasets until they are frozen.

Knows which requests each step costs (at most one per 1,000 items, promotion aside), and speaks to
S3 through S3Connection alone. Never sees a person, a permission or the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone

from dserver_signed_url_plugin.config import LONGEST_LIFE, Settings
from dserver_signed_url_plugin.errors import (
    ItemNotFound,
    StorageOccupied,
    StorageUnavailable,
    UploadFrozen,
)
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage.base import (
    DOCUMENTS,
    Freed,
    Freezing,
    Holdings,
    Item,
    Life,
    Opening,
    Promotion,
    ReadURLs,
    SignedRequest,
    StoredItem,
    WriteURLs,
)
from dserver_signed_url_plugin.storage.manifests import Manifest
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import (
    Layout,
    item_metadata,
    pinned_headers,
    prefix_in,
    registration_key,
    relpath_beside,
    served,
)
from dserver_signed_url_plugin.storage.sigv4 import QuerySigner
from dserver_signed_url_plugin.uris import BaseURI

_PREFIXES_KEPT = 10_000


class S3Storage:
    """The datasets of one bucket.

    Source of the limits: AWS, "PutObject" (5 GiB in one PUT; 2 KB of user metadata, of which
    dtool's ``handle`` may fill 2,000 bytes as base64).
    """

    max_relpath_bytes = 1500
    max_item_bytes = 5 * 1024**3

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = S3Connection(base_uri.location, settings)
        self._prefixes: dict[str, str] = {}

    def life(self, seconds: int) -> Life:
        """Return the life of URLs signed now, in whole seconds, never past the credentials' end."""
        now = datetime.now(timezone.utc).replace(microsecond=0)
        granted = min(seconds, LONGEST_LIFE)
        limited_by = "store" if granted < seconds else None
        _, end = self._s3.credentials()
        if end is not None and end < now + timedelta(seconds=granted):
            granted, limited_by = int((end - now).total_seconds()), "credentials"
        if granted < 1:
            raise StorageUnavailable(
                f"The server's credentials for {self._s3.bucket} have just ended; call again later."
            )
        return Life(now, granted, now + timedelta(seconds=granted), limited_by)

    # Reading -------------------------------------------------------------------------------

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        layout = self._layout(uuid)
        kinds = ("overlays", "annotations", "tags")
        overlays, annotations, tags = each(lambda kind: self._names(layout.names(kind)), kinds)
        manifest = Manifest.read(self._s3.get(layout.document("manifest")), uuid)
        signer = self._signer(life)

        def urls(kind: str, names: Iterable[str]) -> dict[str, str]:
            prefix = layout.names(kind)
            return {name.removesuffix(".json"): signer.sign("GET", prefix + name) for name in names}

        def item_url(identifier: str) -> str:
            parameters = served(manifest.relpaths[identifier], disposition)
            return signer.sign("GET", layout.item(identifier), parameters=parameters)

        return ReadURLs(
            admin_metadata=signer.sign("GET", layout.document("admin_metadata")),
            manifest=signer.sign("GET", layout.document("manifest")),
            readme=signer.sign("GET", layout.document("readme")),
            items={identifier: item_url(identifier) for identifier in manifest.relpaths},
            overlays=urls("overlays", overlays),
            annotations=urls("annotations", annotations),
            tags=tags,
            relpaths=manifest.relpaths,
            sizes=manifest.sizes,
        )

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Sign a GET for one item, after one HEAD, which tells its name too."""
        for fresh in (False, True):
            key = self._layout(uuid, fresh).item(identifier)
            if (metadata := self._s3.metadata(key)) is not None:
                parameters = served(relpath_beside(identifier, metadata), disposition)
                return self._signer(life).sign("GET", key, parameters=parameters)
        raise ItemNotFound(f"The dataset has no item {identifier}.")

    # Uploading -----------------------------------------------------------------------------

    def check_creator(self, username: str) -> str | None:
        """S3 keeps admin metadata in an object's user metadata, which is ASCII."""
        if username.isascii():
            return None
        return "must be ASCII here; send another creator_username."

    def open(self, opening: Opening, check: Callable[[], None]) -> None:
        """Write the claim, then what `dtool create` would write, then tags and the like."""
        layout = self._vacant_layout(opening)
        check()
        self._s3.put(layout.claim, json.dumps(opening.claim))
        check()
        each(lambda text: self._s3.put(*text), list(layout.opening_texts(opening)))
        check()
        # Never over what is there: a request that slept must not turn a dataset back.
        self._s3.create(*layout.admin_metadata(opening.admin_metadata))
        self._remember(layout)

    def write_urls(
        self, uuid: str, staging: str, items: Iterable[Item], pinned: bool, life: Life
    ) -> WriteURLs:
        """Sign PUTs; a pinned one holds Content-MD5 and dtool's object metadata."""
        layout = self._layout(uuid)
        signer = self._signer(life)
        staged = layout.staged_items(staging)

        def request(item: Item) -> SignedRequest:
            if pinned and item.hash is not None:
                headers = pinned_headers(item)
                return SignedRequest(
                    signer.sign("PUT", layout.item(item.identifier), headers), headers
                )
            return SignedRequest(signer.sign("PUT", staged + item.identifier))

        return WriteURLs(
            documents={
                name: signer.sign("PUT", layout.staged_document(staging, name))
                for name in DOCUMENTS
            },
            items={item.identifier: request(item) for item in items},
        )

    def make_room(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete nothing: a PUT writes over what is there."""

    def holdings(self, uuid: str, staging: str) -> Holdings:
        """List the dataset's keys, one request per 1,000."""
        layout = self._layout(uuid)
        found = Holdings()
        staged = layout.staged_items(staging)
        for key, stored in self._s3.listing(layout.root):
            if key.startswith(layout.items):
                found.final[key.removeprefix(layout.items)] = stored
            elif key.startswith(staged):
                found.staged[key.removeprefix(staged)] = stored
            if key.startswith(layout.uploads):
                found.temporary.append(key)
            elif key == layout.document("admin_metadata"):
                found.opened = True
        return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None where none was PUT."""
        return self._s3.get(self._layout(uuid).staged_document(staging, document), limit)

    def promote(
        self, uuid: str, staging: str, promotions: Sequence[Promotion]
    ) -> dict[str, StoredItem]:
        """Copy, 16 at a time, what still is as verified; then list what came of it."""
        layout = self._layout(uuid)
        staged = layout.staged_items(staging)

        def copy(promotion: Promotion) -> bool:
            identifier, md5 = promotion.item.identifier, promotion.stored.md5
            metadata = item_metadata(promotion.item.relpath, md5)
            return self._s3.copy(staged + identifier, md5, layout.item(identifier), metadata)

        each(copy, promotions)
        # Not every store holds a copy to its condition, so what counts is what is there now.
        return {
            key.removeprefix(layout.items): stored for key, stored in self._s3.listing(layout.items)
        }

    def freeze(self, uuid: str, freezing: Freezing, check: Callable[[], None]) -> None:
        """Write README, manifest, and admin metadata last."""
        layout = self._layout(uuid)
        key = layout.document("readme")
        if freezing.readme is not None or self._s3.metadata(key) is None:
            check()
            self._s3.put(key, freezing.readme or "")
        # dtool's own formatting of a manifest.
        manifest = json.dumps(freezing.manifest, indent=2, sort_keys=True)
        check()
        self._s3.put(layout.document("manifest"), manifest)
        check()
        self._s3.put(*layout.admin_metadata(freezing.admin_metadata))

    def readme(self, uuid: str) -> str:
        """Return the README that the dataset has."""
        return (self._s3.get(self._layout(uuid).document("readme")) or b"").decode()

    def tidy(self, uuid: str, temporary: Sequence[str] | None = None) -> None:
        """Delete what was staged, and the claim; listed first unless the keys are known."""
        if temporary is None:
            temporary = [key for key, _ in self._s3.listing(self._layout(uuid).uploads)]
        self._s3.delete(temporary)

    def kind(self, uuid: str) -> str | None:
        """Return the type that an object's user metadata has, as dtool-s3 reads it."""
        metadata = self._s3.metadata(self._layout(uuid, fresh=True).document("admin_metadata"))
        return None if metadata is None else metadata.get("type")

    def size(self, uuid: str) -> Freed:
        """List what is there, one request per 1,000 objects."""
        sizes = [stored.size_in_bytes for _, stored in self._s3.listing(self._layout(uuid).root)]
        return Freed(len(sizes), sum(sizes))

    def discard(self, uuid: str) -> Freed:
        """Delete every object of a proto-dataset, its registration key last."""
        if self.kind(uuid) == "dataset":
            raise UploadFrozen(f"Dataset {uuid} is frozen; it is not an upload to discard.")
        found = dict(self._s3.listing(self._layout(uuid).root))
        self._s3.delete(list(found))
        self._s3.delete([registration_key(uuid)])
        self._prefixes.pop(uuid, None)
        return Freed(len(found), sum(stored.size_in_bytes for stored in found.values()))

    # Helpers -------------------------------------------------------------------------------

    def _layout(self, uuid: str, fresh: bool = False) -> Layout:
        """Find the prefix of a dataset's keys; what the store says of it never changes."""
        if not fresh and uuid in self._prefixes:
            return Layout(self._prefixes[uuid], uuid)
        registered = self._s3.get(registration_key(uuid))
        if registered is None:
            return Layout(self._configured_prefix(), uuid)
        return self._remember(Layout(prefix_in(registered, uuid), uuid))

    def _remember(self, layout: Layout) -> Layout:
        if len(self._prefixes) >= _PREFIXES_KEPT:
            self._prefixes.clear()
        self._prefixes[layout.uuid] = layout.prefix
        return layout

    def _vacant_layout(self, opening: Opening) -> Layout:
        """Refuse a place that holds what is frozen, or what has another claim."""
        registered = self._s3.get(registration_key(opening.uuid))
        uuid = opening.uuid
        prefix = self._configured_prefix() if registered is None else prefix_in(registered, uuid)
        layout = Layout(prefix, uuid)
        admin_metadata = self._s3.metadata(layout.document("admin_metadata"))
        if registered is None and admin_metadata is None:
            return layout
        frozen = admin_metadata is not None and admin_metadata.get("type") == "dataset"
        if frozen or self._claim(layout) != opening.claim:
            raise StorageOccupied(
                f"Storage already holds another {'dataset' if frozen else 'proto-dataset'} "
                f"{uuid}; use a new UUID."
            )
        return layout

    def _configured_prefix(self) -> str:
        return self._s3.setting(f"DTOOL_S3_DATASET_PREFIX_{self._s3.bucket}") or ""

    def _signer(self, life: Life) -> QuerySigner:
        credentials, _ = self._s3.credentials()
        return QuerySigner(self._s3.place, credentials, life.starts, life.seconds)

    def _names(self, prefix: str) -> list[str]:
        return [key.removeprefix(prefix) for key, _ in self._s3.listing(prefix)]

    def _claim(self, layout: Layout) -> object:
        try:
            return json.loads(self._s3.get(layout.claim) or "null")
        except (ValueError, RecursionError):
            return None
