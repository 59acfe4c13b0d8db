"""Deleting the proto-datasets and datasets of one account."""

from __future__ import annotations

from collections.abc import Set
from itertools import chain

from dserver_signed_url_plugin.errors import UploadFrozen
from dserver_signed_url_plugin.storage import claims
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.layout import CLAIM, part_upload, upload_container
from dserver_signed_url_plugin.storage.azure.values import FoundContainer
from dserver_signed_url_plugin.storage.parallel import each
from dserver_signed_url_plugin.storage.protocols import CheckLease
from dserver_signed_url_plugin.storage.values import Claim, Freed


class AzureRemoval:
    """Deletes proto-datasets and datasets."""

    def __init__(self, azure: AzureConnection) -> None:
        self._azure = azure

    def size(self, uuid: str, claim: Claim) -> Freed:
        """List what is there, one request per 5,000 blobs of dataset and upload."""
        is_ours = self._belongs_to(claim, uuid, self._azure.container(uuid))
        return self._freed(uuid) if is_ours else Freed()

    def discard(self, uuid: str, claim: Claim, check_lease: CheckLease) -> Freed:
        """Delete a proto-dataset's container, then the one beside it, with the claim."""
        staged = upload_container(uuid)
        found, beside = each(self._azure.container, (uuid, staged))
        if self._azure.dataset_type(uuid, found) == "dataset":
            raise UploadFrozen(uuid)
        if not self._belongs_to(claim, uuid, found):
            return Freed()
        freed = self._freed(uuid)
        check_lease()
        # The store's times have a resolution of one second; another request that takes over from
        # here on waits longer than that for the lease to end before it freezes or creates.
        if found is not None and not self._azure.delete_container(uuid, found.last_modified):
            raise UploadFrozen(uuid)
        check_lease()
        if beside is not None:
            self._azure.delete_container(staged, beside.last_modified)
        return freed

    def delete_dataset(self, uuid: str) -> Freed:
        """Delete the container of a dataset, and the one beside it, if an upload has left it."""
        freed = self._freed(uuid)
        for container in (uuid, upload_container(uuid)):
            self._azure.delete_container(container)
        return freed

    def under_other_prefixes(self, uuids: Set[str]) -> Set[str]:
        """Return none: a dataset is in the container of its UUID, or nowhere."""
        return frozenset()

    def delete_registration(self, uuid: str) -> str:
        """Keep the container: blobs that the store keeps after deletion would go with it."""
        return "" if self._azure.container(uuid) is None else "its empty container"

    def _belongs_to(self, claim: Claim, uuid: str, found: FoundContainer | None) -> bool:
        stored = self._azure.get(upload_container(uuid), CLAIM)
        return claims.belongs_to(claim, stored, exists=found is not None)

    def _freed(self, uuid: str) -> Freed:
        staged = upload_container(uuid)
        beside = list(self._azure.listing(staged))
        # A listing has the bytes of blobs, but not those of blocks that are not committed.
        in_parts = [blob for blob in beside if part_upload(uuid, blob.name) is not None]
        waiting = each(lambda blob: self._azure.blocks(staged, blob.name) or {}, in_parts)
        uncommitted = (sum(blocks.values()) for blocks in waiting)
        committed = [
            blob.stored.size_in_bytes
            for blob in chain(self._azure.listing(uuid), beside)
            if blob not in in_parts
        ]
        return Freed(len(committed) + len(in_parts), sum(committed) + sum(uncommitted))
