"""Deleting the proto-datasets and datasets of one bucket, and what is left of those gone."""

from __future__ import annotations

from collections.abc import Mapping, Set

from dserver_signed_url_plugin.errors import UploadFrozen
from dserver_signed_url_plugin.storage import claims
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.protocols import CheckLease
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import Layout, registration_key
from dserver_signed_url_plugin.storage.s3.multipart import MultipartUpload
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefix, DatasetPrefixes
from dserver_signed_url_plugin.storage.values import Claim, Freed, StoredItem


class S3Removal:
    """Deletes proto-datasets, datasets and registration keys."""

    def __init__(self, s3: S3Connection, prefixes: DatasetPrefixes) -> None:
        self._s3, self._prefixes, self._multipart = s3, prefixes, s3.multipart

    def size(self, uuid: str, claim: Claim) -> Freed:
        """List what is there, one request per 1,000 objects or parts."""
        found = self._prefixes.find(uuid)
        if not self._belongs_to(claim, found):
            return Freed()
        layout = found.layout
        incomplete = self._multipart.listed_below(layout.root)
        return self._freed(layout, dict(self._s3.listing(layout.root)), self._sizes(incomplete))

    def discard(self, uuid: str, claim: Claim, check_lease: CheckLease) -> Freed:
        """Delete every object and part of a proto-dataset; registration key and claim last."""
        found = self._prefixes.find(uuid)
        if found.dataset_type == "dataset":
            raise UploadFrozen(uuid)
        if not self._belongs_to(claim, found):
            return Freed()
        return self._delete(found.layout, check_lease)

    def delete_dataset(self, uuid: str) -> Freed:
        """Delete every object of a dataset, the registration key, with its prefix, last."""
        return self._delete(self._prefixes.find(uuid).layout, _no_lease)

    def _delete(self, layout: Layout, check_lease: CheckLease) -> Freed:
        incomplete = self._multipart.listed_below(layout.root)
        part_bytes = self._sizes(incomplete)
        check_lease()
        each(self._multipart.abort, incomplete)
        stored = dict(self._s3.listing(layout.root))
        freed = self._freed(layout, stored, part_bytes)
        stored.pop(layout.claim, None)
        check_lease()
        self._s3.deletions.below(layout.root, stored)
        # Without these a repeated call could not find what was left.
        for key in (registration_key(layout.uuid), layout.claim):
            check_lease()
            self._s3.deletions.one(key)
        self._prefixes.forget(layout.uuid)
        return freed

    def under_other_prefixes(self, uuids: Set[str]) -> Set[str]:
        """Return the UUIDs that have objects under any prefix, but no registration key."""
        return self._prefixes.under_any(uuids)

    def delete_registration(self, uuid: str) -> str:
        """Delete the registration key, by which the UUID counts as taken, and parts."""
        each(self._multipart.abort, self._multipart.listed_below(self._prefixes.of(uuid).root))
        self._s3.deletions.one(registration_key(uuid))
        self._prefixes.forget(uuid)
        return ""

    def _belongs_to(self, claim: Claim, found: DatasetPrefix) -> bool:
        return claims.belongs_to(claim, self._s3.get(found.layout.claim), exists=found.is_taken)

    def _sizes(self, incomplete: list[MultipartUpload]) -> int:
        """Return the bytes of the parts of multipart uploads."""
        parts = each(self._multipart.parts, incomplete)
        return sum(one.size_in_bytes for found in parts if found for one in found.values())

    def _freed(self, layout: Layout, stored: Mapping[str, StoredItem], part_bytes: int) -> Freed:
        if stored and self._s3.deletions.keeps_versions(layout.root):
            return Freed(len(stored), part_bytes, old_versions_remain=True)
        size = sum(each.size_in_bytes for each in stored.values())
        return Freed(len(stored), size + part_bytes)


def _no_lease() -> None:
    """Do nothing: a dataset has no lease."""
