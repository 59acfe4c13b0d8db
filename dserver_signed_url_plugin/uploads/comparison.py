"""Comparing what was announced with what the store holds, item by item; makes no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dserver_signed_url_plugin.errors import UnannouncedItems, UploadIncomplete
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.storage.values import Contents, Item, Limits, Promotion, StoredItem
from dserver_signed_url_plugin.uploads.plan import is_time


@dataclass
class Comparison:
    """What is in place, what is to be promoted, and what is wrong.

    ``has_missing_of_any_size`` is True if an item is missing whose size was not announced.
    ``strays`` are identifiers that storage holds and that were not announced.
    """

    in_place: dict[str, StoredItem] = field(default_factory=dict)
    promotions: list[Promotion] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    has_missing_of_any_size: bool = False
    mismatched: list[dict[str, Any]] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)

    @property
    def to_send(self) -> set[str]:
        """Relpaths of items that are missing or wrong."""
        return {*self.missing, *(entry["relpath"] for entry in self.mismatched)}

    def require(self, limits: Limits, *, in_parts: bool) -> None:
        """Check that nothing is missing, different or unannounced.

        :param in_parts: whether the storage accepts items in parts.
        :raises UploadIncomplete: with relpaths, what was expected and what was found.
        :raises UnannouncedItems: with the identifiers of what was not announced, too.
        """
        if self.strays:
            strays = [_stray(identifier) for identifier in self.strays]
            raise UnannouncedItems(
                f"Storage holds {counted(len(strays), 'item')} not announced for this UUID",
                self.missing,
                [*self.mismatched, *strays],
            )
        if self.missing or self.mismatched:
            limit = _limit(limits, in_parts=in_parts) if self.has_missing_of_any_size else ""
            raise UploadIncomplete(
                f"{counted(len(self.missing), 'item')} missing, and "
                f"{counted(len(self.mismatched), 'item')} different from what was announced{limit}",
                self.missing,
                self.mismatched,
            )


def _limit(limits: Limits, *, in_parts: bool) -> str:
    advice = (
        "announce a larger item under a new UUID, with multipart: true, its size and its MD5"
        if in_parts
        else "a larger item cannot arrive"
    )
    return f" (a single PUT carries at most {limits.max_item_bytes} bytes; {advice})"


def compare(items: Sequence[Item], contents: Contents) -> Comparison:
    """Compare the announced items with the contents of the store, by size and MD5."""
    announced = {item.identifier for item in items}
    outcome = Comparison(strays=sorted(contents.final.keys() - announced))
    for item in items:
        final = contents.final.get(item.identifier)
        staged = contents.staged.get(item.identifier)
        # Without an announced MD5 the latest PUT counts, and final is an earlier one of the same.
        if item.hash is None and staged is not None and not _same(staged, final):
            final = None
        if final is not None and final.fits(item):
            outcome.in_place[item.identifier] = final
        elif staged is not None and staged.fits(item):
            outcome.promotions.append(Promotion(item, staged))
        elif staged is not None or final is not None:
            outcome.mismatched.append(_mismatch(item, staged or final))
        else:
            outcome.missing.append(item.relpath)
            outcome.has_missing_of_any_size |= item.size_in_bytes is None
    return outcome


def compare_promoted(
    promotions: Sequence[Promotion], found: Mapping[str, StoredItem]
) -> Comparison:
    """Compare what a listing shows after promotion with what was verified before."""
    outcome = Comparison()
    for promotion in promotions:
        item = promotion.item
        now = found.get(item.identifier)
        if now is None:
            outcome.missing.append(item.relpath)
        elif _same(promotion.stored, now):
            outcome.in_place[item.identifier] = now
        else:
            outcome.mismatched.append(_mismatch(item, now))
    return outcome


def frozen_item(item: Item, stored: StoredItem, hint: Item | None) -> Item:
    """Return an item as the manifest of the dataset is to have it.

    :param hint: the item in a manifest that the client uploaded; its time counts if its size and
        MD5 are those in the store.
    """
    timestamp = item.utc_timestamp
    if timestamp is None and hint is not None and _is_hint(hint, stored):
        timestamp = hint.utc_timestamp
    if timestamp is None:
        timestamp = stored.last_modified.timestamp()
    return msgspec.structs.replace(
        item, size_in_bytes=stored.size_in_bytes, hash=stored.md5, utc_timestamp=timestamp
    )


def _is_hint(hint: Item, stored: StoredItem) -> bool:
    agrees = (hint.hash, hint.size_in_bytes) == (stored.md5, stored.size_in_bytes)
    return agrees and is_time(hint.utc_timestamp)


def _same(one: StoredItem, other: StoredItem | None) -> bool:
    return other is not None and (one.size_in_bytes, one.md5) == (other.size_in_bytes, other.md5)


def _mismatch(item: Item, found: StoredItem | None) -> dict[str, Any]:
    return {
        "relpath": item.relpath,
        "expected": {"size_in_bytes": item.size_in_bytes, "hash": item.hash},
        "found": found and _described(found),
    }


def _stray(identifier: str) -> dict[str, Any]:
    """Describe an object that was not announced, of which only the identifier is known."""
    return {"relpath": identifier, "expected": None, "found": "stray"}


def _described(found: StoredItem) -> dict[str, Any]:
    described = {"size_in_bytes": found.size_in_bytes, "hash": found.md5}
    return described if found.defect is None else {**described, "defect": found.defect}
