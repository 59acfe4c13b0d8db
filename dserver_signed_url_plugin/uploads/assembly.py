"""Assembling the items that came in parts, when their upload is completed.

The store proves the MD5 of each part, but not of the whole, which is the client's claim. What must
come out is noted before, so that the same call again recognises what an earlier one has assembled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import msgspec

from dserver_signed_url_plugin.errors import URLsStillValid
from dserver_signed_url_plugin.storage import parallel
from dserver_signed_url_plugin.storage.manifest import Manifest
from dserver_signed_url_plugin.storage.parts import Division, PartUpload, StoredPart
from dserver_signed_url_plugin.storage.protocols import ItemDone, PartStore, Storage
from dserver_signed_url_plugin.storage.values import Contents, Item, StoredItem, as_md5
from dserver_signed_url_plugin.uploads import part_repository
from dserver_signed_url_plugin.uploads.comparison import Comparison, compare
from dserver_signed_url_plugin.uploads.division import divisions
from dserver_signed_url_plugin.uploads.lease import Lease
from dserver_signed_url_plugin.uploads.models import ItemInParts, PendingUpload

# Noted of an item whose MD5 or ETag is not known before it is assembled.
UNKNOWN = ""
_MAX_LISTED = 100


@dataclass(frozen=True)
class ListedParts:
    """An item that is not in place, and the parts that the store lists of it."""

    item: Item
    division: Division
    upload: PartUpload
    stored: Mapping[int, StoredPart]

    @property
    def missing(self) -> list[int]:
        """The numbers of parts that are missing, or have another size."""
        return [number for number in range(1, self.division.count + 1) if not self._has(number)]

    @property
    def number_stored(self) -> int:
        """How many parts are stored."""
        return self.division.count - len(self.missing)

    @property
    def wanted(self) -> dict[int, StoredPart]:
        """The parts of which the item consists."""
        return {number: self.stored[number] for number in range(1, self.division.count + 1)}

    def _has(self, number: int) -> bool:
        part = self.stored.get(number)
        return part is not None and part.size_in_bytes == self.division.bytes_of(number)


def assemble(
    lease: Lease,
    storage: Storage,
    announced: Manifest,
    contents: Contents,
    item_done: ItemDone,
) -> Contents:
    """Assemble the items in parts that are not in place; return what storage holds then.

    Nothing is assembled before everything else is there. An item that was assembled is listed with
    its announced MD5.

    :raises UploadIncomplete: if items or parts are missing or wrong.
    :raises URLsStillValid: while a URL handed out earlier could replace an assembled item.
    """
    items = list(announced.items.values())
    known = accept(lease.upload, items, contents)
    if storage.parts is None or not known:
        return contents
    found = _to_assemble(lease.upload, storage, known, items, contents)
    if not found:
        return contents
    _refuse_replaceable(lease.upload, storage)
    noted = {
        parts.item.identifier: storage.parts.assembled_md5(parts.item, parts.wanted) or UNKNOWN
        for parts in found
    }
    part_repository.note_assembly(lease.upload, noted)
    lease.check()
    parallel.each(_assembler(storage.parts, item_done), found)
    contents = storage.uploads.contents(lease.upload.uuid, lease.upload.staging)
    accept(lease.upload, items, contents)
    return contents


def accept(
    upload: PendingUpload, items: Iterable[Item], contents: Contents
) -> Mapping[str, ItemInParts]:
    """List the items that were assembled with their announced MD5; return all that were begun."""
    known = part_repository.of(upload)
    for item in items if known else ():
        kept = known.get(item.identifier)
        stored = kept and accepted(kept, item, contents.final.get(item.identifier))
        if stored is not None:
            contents.final[item.identifier] = stored
    return known


def accepted(kept: ItemInParts, item: Item, stored: StoredItem | None) -> StoredItem | None:
    """Return an item that was assembled from its parts with its announced MD5; else None."""
    if stored is None or stored.defect or stored.size_in_bytes != item.size_in_bytes:
        return None
    if kept.assembled_md5 == UNKNOWN:
        # A store that encrypts with keys of its own does not tell the MD5s of parts. Its ETag of a
        # single PUT has 32 hexadecimal digits all the same, and only this server assembles parts.
        is_assembled = as_md5(stored.md5) is None
    else:
        is_assembled = stored.md5 == kept.assembled_md5
    if not is_assembled:
        return None
    # Azure keeps the MD5 that it is given, also of an item that was sent whole after all.
    in_parts = stored.in_parts or stored.md5 != item.hash
    return msgspec.structs.replace(stored, md5=item.hash or stored.md5, in_parts=in_parts)


def part_upload(upload: PendingUpload, kept: ItemInParts) -> PartUpload:
    """Return the parts of an item as a storage names them."""
    return PartUpload(upload.uuid, kept.identifier, kept.upload_id)


def list_parts(
    upload: PendingUpload,
    storage: Storage,
    known: Mapping[str, ItemInParts],
    items: Sequence[Item],
) -> list[ListedParts]:
    """List the parts of the items of which parts were begun, several at a time.

    :param known: what is known of items in parts, by identifier.
    """
    store = storage.parts
    divided = divisions(upload, [item for item in items if item.identifier in known], storage)
    if store is None or not divided:
        return []
    wanted = [item for item in items if item.identifier in divided]
    begun = [part_upload(upload, known[item.identifier]) for item in wanted]
    # Of parts that somebody has aborted, the store does not know any more.
    stored = parallel.each(lambda one: store.stored_parts(one) or {}, begun)
    return [
        ListedParts(item, divided[item.identifier], one, parts)
        for item, one, parts in zip(wanted, begun, stored, strict=True)
    ]


def abort(upload: PendingUpload, storage: Storage) -> None:
    """Abort the parts of an upload that were begun, as far as they were not assembled."""
    parts = storage.parts
    if parts is not None:
        begun = list(part_repository.of(upload).values())
        parallel.each(lambda kept: parts.abort(part_upload(upload, kept)), begun)


def _to_assemble(
    upload: PendingUpload,
    storage: Storage,
    known: Mapping[str, ItemInParts],
    items: Sequence[Item],
    contents: Contents,
) -> list[ListedParts]:
    """Return what is not in place, and whose parts are.

    :raises UploadIncomplete: if anything is missing or wrong.
    """
    outcome = compare(items, contents)
    to_send = outcome.to_send
    found = list_parts(upload, storage, known, [item for item in items if item.relpath in to_send])
    _report_parts(outcome, found).require(storage.uploads.limits, in_parts=True)
    return found


def _report_parts(outcome: Comparison, found: Sequence[ListedParts]) -> Comparison:
    """List items in parts with their missing parts, and not as missing or different."""
    in_parts = {parts.item.relpath for parts in found}
    outcome.missing = [relpath for relpath in outcome.missing if relpath not in in_parts]
    outcome.mismatched = [
        entry for entry in outcome.mismatched if entry["relpath"] not in in_parts
    ] + [_lacking(parts) for parts in found if parts.missing]
    return outcome


def _lacking(parts: ListedParts) -> dict[str, Any]:
    size = sum(part.size_in_bytes for part in parts.stored.values())
    return {
        "relpath": parts.item.relpath,
        "expected": {"size_in_bytes": parts.item.size_in_bytes, "hash": parts.item.hash},
        "found": {"size_in_bytes": size, "hash": None, "parts": len(parts.stored)},
        "missing_parts": parts.missing[:_MAX_LISTED],
        "missing_parts_total": len(parts.missing),
    }


def _refuse_replaceable(upload: PendingUpload, storage: Storage) -> None:
    """Wait for the end of pinned URLs that were handed out before parts were announced.

    A pinned URL accepts the bytes of the announced MD5, which may be others than those of the
    parts: after the completion it would change a frozen item. Where URLs only create, none can.
    """
    ends = upload.pinned_until_utc
    if storage.staged_items is not None and ends is not None and ends > datetime.now(timezone.utc):
        raise URLsStillValid(upload.uuid, ends)


def _assembler(store: PartStore, item_done: ItemDone) -> Callable[[ListedParts], None]:
    def assemble_one(parts: ListedParts) -> None:
        # What is not assembled, because a part was sent again since, is not in place afterwards.
        store.assemble(parts.upload, parts.item, parts.wanted)
        item_done()

    return assemble_one
