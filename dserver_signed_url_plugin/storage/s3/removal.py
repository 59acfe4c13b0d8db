"""Deleting the proto-datasets of one bucket, and what is left of datasets that are gone."""

from __future__ import annotations

from collections.abc import Mapping, Set

from dserver_signed_url_plugin.errors import UploadFrozen
from dserver_signed_url_plugin.storage import claims
from dserver_signed_url_plugin.storage.protocols import CheckLease
from dserver_signed_url_plugin.storage.s3.connection import S3Connection
from dserver_signed_url_plugin.storage.s3.layout import Layout, registration_key
from dserver_signed_url_plugin.storage.s3.prefixes import DatasetPrefix, DatasetPrefixes
from dserver_signed_url_plugin.storage.values import Claim, Freed, StoredItem


class S3Removal:
    """Deletes proto-datasets and registration keys."""

    def __init__(self, s3: S3Connection, prefixes: DatasetPrefixes) -> None:
        self._s3, self._prefixes = s3, prefixes

    def size(self, uuid: str, claim: Claim) -> Freed:
        """List what is there, one request per 1,000 objects."""
        found = self._prefixes.find(uuid)
        if not self._belongs_to(claim, found):
            return Freed()
        return self._freed(found.layout, dict(self._s3.listing(found.layout.root)))

    def discard(self, uuid: str, claim: Claim, check_lease: CheckLease) -> Freed:
        """Delete every object of a proto-dataset; registration key and claim last."""
        found = self._prefixes.find(uuid)
        if found.dataset_type == "dataset":
            raise UploadFrozen(uuid)
        if not self._belongs_to(claim, found):
            return Freed()
        layout = found.layout
        stored = dict(self._s3.listing(layout.root))
        freed = self._freed(layout, stored)
        check_lease()
        stored.pop(layout.claim, None)
        self._s3.delete_below(layout.root, stored)
        # Without these a repeated call could not find what was left.
        for key in (registration_key(uuid), layout.claim):
            check_lease()
            self._s3.delete_one(key)
        self._prefixes.forget(uuid)
        return freed

    def under_other_prefixes(self, uuids: Set[str]) -> Set[str]:
        """Return the UUIDs that have objects under any prefix, but no registration key."""
        return self._prefixes.under_any(uuids)

    def delete_registration(self, uuid: str) -> str:
        """Delete the registration key, by which the UUID counts as taken."""
        self._s3.delete_one(registration_key(uuid))
        self._prefixes.forget(uuid)
        return ""

    def _belongs_to(self, claim: Claim, found: DatasetPrefix) -> bool:
        return claims.belongs_to(claim, self._s3.get(found.layout.claim), exists=found.is_taken)

    def _freed(self, layout: Layout, stored: Mapping[str, StoredItem]) -> Freed:
        if stored and self._s3.keeps_versions(layout.root):
            return Freed(len(stored), old_versions_remain=True)
        return Freed(len(stored), sum(each.size_in_bytes for each in stored.values()))
