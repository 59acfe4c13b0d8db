"""Parts that a store keeps and that belong to no pending upload, and their removal.

They are left by a request that ended between its call to the store and its row, and by uploads that
were removed from the table only.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime

from dserver_signed_url_plugin import datasets
from dserver_signed_url_plugin.errors import SignedURLError, SigningUnsupported
from dserver_signed_url_plugin.storage.parts import PartUpload
from dserver_signed_url_plugin.storage.protocols import PartStore
from dserver_signed_url_plugin.storage.registry import Storages
from dserver_signed_url_plugin.uploads import part_repository
from dserver_signed_url_plugin.uris import BaseURI


@dataclass(frozen=True)
class OrphanedParts:
    """Parts that were, or would be, aborted; with a ``failure``, they were not.

    For the failure of a whole dataset, ``identifier`` is empty; of a base URI, ``uuid`` also.
    """

    base_uri: str
    uuid: str = ""
    identifier: str = ""
    size_in_bytes: int = 0
    failure: str = ""


def abort_orphans(
    storages: Storages, before: datetime, *, dry_run: bool
) -> Iterator[OrphanedParts]:
    """Abort the parts that no pending upload knows, below all base URIs that dserver knows.

    :param before: only those begun before (UTC).
    """
    if not dry_run:
        part_repository.forget_orphans()
    for base_uri in datasets.known_base_uris():
        try:
            yield from _below(base_uri, storages, before, dry_run=dry_run)
        except SigningUnsupported:
            continue
        except SignedURLError as error:
            yield OrphanedParts(base_uri, failure=error.message)


def _below(
    base_uri: str, storages: Storages, before: datetime, *, dry_run: bool
) -> Iterator[OrphanedParts]:
    parts = storages.of(BaseURI.parse(base_uri)).parts
    if parts is None:
        return
    failures: list[OrphanedParts] = []

    def failed(uuid: str, error: SignedURLError) -> None:
        failures.append(OrphanedParts(base_uri, uuid, failure=error.message))

    found = list(parts.incomplete(before, failed))
    yield from failures
    # Read afterwards: what was begun since then is not among those that were listed.
    known: Set[str] = part_repository.upload_ids() if found else set()
    for one in found:
        if one.upload_id not in known:
            yield _aborted(base_uri, parts, one, dry_run=dry_run)


def _aborted(
    base_uri: str, parts: PartStore, orphan: PartUpload, *, dry_run: bool
) -> OrphanedParts:
    try:
        stored = parts.stored_parts(orphan) or {}
        size = sum(part.size_in_bytes for part in stored.values())
        if not dry_run:
            parts.abort(orphan)
    except SignedURLError as error:
        return OrphanedParts(base_uri, orphan.uuid, orphan.identifier, 0, error.message)
    return OrphanedParts(base_uri, orphan.uuid, orphan.identifier, size)
