"""What S3 does for this plugin: sign URLs, and keep proto-datasets until they are frozen.

Knows which requests each step costs (at most one per 1,000 items, promotion aside), and speaks to
S3 through S3Connection alone. Never sees a person, a permission or the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import timedelta

from dserver_signed_url_plugin.config import LONGEST_LIFE, STAGED, Settings
from dserver_signed_url_plugin.errors import (
    ItemArchived,
    ItemBeingRestored,
    ItemNotFound,
    StorageUnavailable,
    UploadFrozen,
)
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.storage import claims, deadline
from dserver_signed_url_plugin.storage.manifest import Manifest, relpath_in
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.read_urls import KINDS, Signing, read_urls
from dserver_signed_url_plugin.storage.s3.connection import FoundObject, S3Connection
from dserver_signed_url_plugin.storage.s3.errors import RESTORE
from dserver_signed_url_plugin.storage.s3.layout import (
    Layout,
    is_folder,
    item_metadata,
    pinned_headers,
    registration_key,
    relpath_beside,
    served,
)
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefix, DatasetPrefixes
from dserver_signed_url_plugin.storage.s3.response_checks import md5_of
from dserver_signed_url_plugin.storage.s3.sigv4 import QuerySigner
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

# What any store copies in a second, in bytes: a large item may take longer than a call.
_COPIED_PER_SECOND = 16 * 1024**2


class S3Storage:
    """The datasets of one bucket.

    Source of the limits: AWS, "PutObject" (5 GiB in one PUT; 2 KB of user metadata, of which
    dtool's ``handle`` may fill 2,000 bytes as base64).
    """

    max_relpath_bytes = 1500
    max_item_bytes = 5 * 1024**3
    signed_by = "this plugin, for S3"
    lists_objects = True

    def __init__(self, base_uri: BaseURI, settings: Settings) -> None:
        self._s3 = S3Connection(base_uri.location, settings)
        self._places = DatasetPrefixes(self._s3)
        self.stages_all = settings.writes(base_uri.location) == STAGED

    def life(self, seconds: int, writing: bool = False) -> Life:
        """Return the life of URLs signed now, in whole seconds, never past the credentials' end."""
        life = Life.from_now(seconds, LONGEST_LIFE)
        _, end = self._s3.credentials(writing)
        if end is None or end >= life.ends:
            return life
        granted = int((end - life.starts).total_seconds())
        if granted < 1:
            raise StorageUnavailable(
                f"The server's credentials for {self._s3.bucket}", "have just ended"
            )
        ends = life.starts + timedelta(seconds=granted)
        return Life(life.starts, granted, ends, limited_by="credentials")

    # Reading -------------------------------------------------------------------------------

    def read_urls(self, uuid: str, life: Life, disposition: Disposition = "attachment") -> ReadURLs:
        """Sign GETs for all of a dataset; items are those of its manifest."""
        layout, signer = self._places.of(uuid), self._signer(life)
        listed = each(lambda kind: self._names(layout.names(kind)), KINDS)
        manifest = Manifest.read(self._s3.get(layout.document("manifest")), uuid)

        def item(identifier: str, relpath: str) -> str:
            parameters = served(relpath, disposition)
            return signer.sign("GET", layout.item(identifier), parameters=parameters)

        signing = Signing(
            document=lambda name: signer.sign("GET", layout.document(name)),
            item=item,
            description=lambda kind, name: signer.sign("GET", layout.names(kind) + name),
        )
        return read_urls(manifest, listed, signing)

    def item_url(
        self, uuid: str, identifier: str, life: Life, disposition: Disposition = "attachment"
    ) -> str:
        """Sign a GET for one item, after one HEAD, which tells its name too.

        Where its metadata was lost, the manifest is asked for the name.
        """
        layout, found = self._find_item(uuid, identifier)
        if found.is_archived:
            what = f"Item {identifier}"
            is_returning = found.is_being_restored
            raise ItemBeingRestored(what) if is_returning else ItemArchived(what, RESTORE)
        relpath = relpath_beside(identifier, found.metadata)
        if relpath is None:
            relpath = relpath_in(self._s3.get(layout.document("manifest")), identifier)
        parameters = served(relpath, disposition)
        return self._signer(life).sign("GET", layout.item(identifier), parameters=parameters)

    # Uploading -----------------------------------------------------------------------------

    def check_creator(self, username: str) -> str | None:
        """S3 keeps admin metadata in an object's user metadata, which is ASCII."""
        if username.isascii():
            return None
        return "must be ASCII here; send another creator_username."

    def check_tag(self, tag: str) -> str | None:
        """Take any that dtool takes: S3 has keys of every kind."""
        return None

    def open(self, opening: ProtoDataset, check: Callable[[], None]) -> None:
        """Write the claim, then what `dtool create` would write, then tags and the like."""
        layout = self._vacant_layout(opening)
        check()
        claim = claims.written(opening)
        self._s3.put(layout.claim, claim)
        # Without a claim what comes after it would be nobody's.
        if not self._s3.holds(layout.claim, claim):
            raise self._not_kept(opening.uuid)
        check()
        texts = dict(layout.opening_texts(opening))
        each(lambda text: self._s3.put(*text), list(texts.items()))
        check()
        # Never over what is there: a request that slept must not turn a dataset back.
        self._s3.create(*layout.admin_metadata(opening.admin_metadata))
        self._require_opened(layout, texts)
        self._places.remember(layout)

    def write_urls(
        self, uuid: str, staging: str, items: Iterable[Item], pinned: bool, life: Life
    ) -> WriteURLs:
        """Sign PUTs; a pinned one holds Content-MD5 and dtool's object metadata."""
        layout = self._places.of(uuid)
        signer = self._signer(life, writing=True)
        pinned = pinned and not self.stages_all
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

    def delete_outdated_items(self, uuid: str, items: Sequence[Item]) -> None:
        """Delete nothing: a PUT writes over what is there."""

    def holdings(self, uuid: str, staging: str) -> Contents:
        """List the dataset's keys, one request per 1,000."""
        layout = self._places.of(uuid)
        found = Contents()
        staged = layout.staged_items(staging)
        for key, stored in self._s3.listing(layout.root):
            if key.startswith(layout.uploads):
                found.temporary[key] = stored
            if is_folder(key, stored):
                continue
            found.objects += 1
            if key.startswith(layout.items):
                found.final[key.removeprefix(layout.items)] = stored
            elif key.startswith(staged):
                found.staged[key.removeprefix(staged)] = stored
            elif key == layout.document("admin_metadata"):
                found.opened = True
            elif key == layout.document("manifest"):
                found.has_manifest = True
        return found

    def staged_document(self, uuid: str, staging: str, document: str, limit: int) -> bytes | None:
        """Return a staged document, cut after limit + 1 bytes, or None where none was PUT."""
        return self._s3.get(self._places.of(uuid).staged_document(staging, document), limit)

    def promote(
        self, uuid: str, staging: str, promotions: Sequence[Promotion]
    ) -> dict[str, StoredItem]:
        """Copy, 16 at a time, what still is as verified; then list what came of it."""
        layout = self._places.of(uuid)
        staged = layout.staged_items(staging)

        def copy(promotion: Promotion) -> bool:
            identifier, md5 = promotion.item.identifier, promotion.stored.md5
            metadata = item_metadata(promotion.item.relpath, md5)
            deadline.allow(promotion.stored.size_in_bytes / _COPIED_PER_SECOND)
            is_done = self._s3.copy(staged + identifier, md5, layout.item(identifier), metadata)
            deadline.progress()
            return is_done

        each(copy, promotions)
        # Not every store holds a copy to its condition, so what counts is what is there now.
        return {
            key.removeprefix(layout.items): stored for key, stored in self._s3.listing(layout.items)
        }

    def freeze(self, uuid: str, freezing: FrozenDataset, check: Callable[[], None]) -> None:
        """Write README, manifest, and admin metadata last; then look whether they are there."""
        layout = self._places.of(uuid)
        for text in layout.frozen_texts(freezing):
            check()
            self._s3.put(*text)
        if not self.is_frozen(uuid, freezing):
            # Perhaps because somebody else has taken over.
            check()
            raise self._not_kept(uuid)

    def is_frozen(self, uuid: str, freezing: FrozenDataset) -> bool:
        """Look at each object, one HEAD each; at its bytes where its ETag is no MD5."""
        layout = self._places.of(uuid)
        return all(each(lambda text: self._s3.holds(*text), list(layout.frozen_texts(freezing))))

    def readme(self, uuid: str, limit: int) -> bytes | None:
        """Return the README that the dataset has, cut after limit + 1 bytes, or None."""
        return self._s3.get(self._places.of(uuid).document("readme"), limit)

    def delete_temporary(
        self, uuid: str, temporary: Mapping[str, StoredItem | None] | None = None
    ) -> None:
        """Delete what was staged, and the claim; listed first unless the keys are known."""
        uploads = self._places.of(uuid).uploads
        if temporary is None:
            temporary = dict(self._s3.listing(uploads))
        self._s3.delete(list(temporary))
        # What comes late, through a URL that lives, is not what was to go.
        self._require_gone(self._left(uploads, temporary))

    def has_admin_metadata(self, uuid: str) -> bool:
        """Look for the object."""
        return self._s3.find(self._places.of(uuid).document("admin_metadata")) is not None

    def kind(self, uuid: str) -> str | None:
        """Return the type that an object's user metadata has, or its text where that is lost."""
        return self._places.look(uuid).kind

    def size(self, uuid: str, claim: Claim) -> Freed:
        """List what is there, one request per 1,000 objects."""
        found = self._places.look(uuid)
        if not self._may_go(found, claim):
            return Freed()
        return self._freed(found.layout, self._listed(found.layout))

    def discard(self, uuid: str, claim: Claim, check: Callable[[], None]) -> Freed:
        """Delete every object of a proto-dataset; last what says where and whose it is."""
        found = self._places.look(uuid)
        if found.kind == "dataset":
            raise UploadFrozen(uuid)
        if not self._may_go(found, claim):
            return Freed()
        layout, stored = found.layout, self._listed(found.layout)
        freed = self._freed(layout, stored)
        check()
        self._s3.delete([key for key in stored if key != layout.claim])
        self._require_gone(self._left(layout.root, stored) - {layout.claim})
        # Without these nobody could go on with what was left.
        for key in (registration_key(uuid), layout.claim):
            check()
            self._delete(key)
        self._places.forget(uuid)
        return freed

    def elsewhere(self, uuids: Set[str]) -> Set[str]:
        """Return those whose registration key is gone, but not all below whatever prefix."""
        return self._places.elsewhere(uuids)

    def release_uuid(self, uuid: str) -> str:
        """Delete the registration key, by which the UUID counts as taken."""
        self._delete(registration_key(uuid))
        self._places.forget(uuid)
        return ""

    # Helpers -------------------------------------------------------------------------------

    def _find_item(self, uuid: str, identifier: str) -> tuple[Layout, FoundObject]:
        """Find an item where its dataset was last known to be, and then where it is."""
        for fresh in (False, True):
            layout = self._places.of(uuid, fresh)
            found = self._s3.find(layout.item(identifier))
            if found is not None:
                return layout, found
        raise ItemNotFound(identifier)

    def _vacant_layout(self, opening: ProtoDataset) -> Layout:
        """Refuse a place that holds what is frozen, or what has another claim."""
        found = self._places.look(opening.uuid)
        if found.is_taken:
            claims.refuse_occupied(opening, found.kind, self._s3.get(found.layout.claim))
        return found.layout

    def _may_go(self, found: DatasetPrefix, claim: Claim) -> bool:
        """Tell whether what was found is the upload's that has this claim, or nobody's."""
        return claims.may_go(claim, self._s3.get(found.layout.claim), found.is_taken)

    def _require_opened(self, layout: Layout, texts: Mapping[str, str]) -> None:
        """Make sure that what was written is there; a listing, and one HEAD for what is beside."""
        stored = self._listed(layout)
        untold = [
            (key, text)
            for key, text in texts.items()
            if key not in stored or stored[key].md5 != md5_of(text.encode())
        ]
        is_there = layout.document("admin_metadata") in stored
        if not (is_there and all(each(lambda text: self._s3.holds(*text), untold))):
            raise self._not_kept(layout.uuid)

    def _not_kept(self, uuid: str) -> StorageUnavailable:
        return StorageUnavailable(
            f"The store of {self._s3.bucket}",
            f"has not kept what was written of {uuid}, although it said so",
        )

    def _delete(self, key: str) -> None:
        """Delete one object, and make sure that it is gone."""
        self._s3.delete([key])
        self._require_gone({key} if self._s3.find(key) is not None else set())

    def _left(self, prefix: str, deleted: Mapping[str, StoredItem | None]) -> Set[str]:
        """Return which of the first keys are there as they were before they were deleted."""
        left = self._s3.first_listed(prefix)
        return {key for key in left if left[key] == deleted.get(key)}

    def _require_gone(self, left: Set[str]) -> None:
        if left:
            raise StorageUnavailable(
                f"The store of {self._s3.bucket}",
                f"still holds {len(left)} or more objects that it said it had deleted",
            )

    def _listed(self, layout: Layout) -> dict[str, StoredItem]:
        return dict(self._s3.listing(layout.root))

    def _freed(self, layout: Layout, stored: Mapping[str, StoredItem]) -> Freed:
        if stored and self._s3.keeps_versions(layout.root):
            return Freed(len(stored), old_versions_remain=True)
        return Freed(len(stored), sum(each.size_in_bytes for each in stored.values()))

    def _signer(self, life: Life, writing: bool = False) -> QuerySigner:
        credentials, _ = self._s3.credentials(writing)
        return QuerySigner(self._s3.place, credentials, life.starts, life.seconds)

    def _names(self, prefix: str) -> list[str]:
        return [key.removeprefix(prefix) for key, _ in self._s3.listing(prefix)]
