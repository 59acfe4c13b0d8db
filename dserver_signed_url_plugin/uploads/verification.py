"""Does the store hold what was announced? Pure comparison, item by item.

Knows which of two copies counts and what dtool's manifest says of an item; makes no request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dserver_signed_url_plugin.errors import UnannouncedItems, UploadIncomplete
from dserver_signed_url_plugin.storage.values import Contents, Item, Promotion, StoredItem
from dserver_signed_url_plugin.uploads.plan import is_time

Properties = dict[str, Any]


@dataclass
class Verification:
    """The outcome: what is in place, what is to be promoted, what is wrong.

    ``has_missing_of_any_size`` is True where something is missing whose size was not announced.
    """

    in_place: dict[str, StoredItem] = field(default_factory=dict)
    promotions: list[Promotion] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    has_missing_of_any_size: bool = False
    mismatched: list[dict[str, Any]] = field(default_factory=list)
    # Identifiers of what storage holds and nobody announced; `dtool verify` would find it.
    strays: list[str] = field(default_factory=list)

    @property
    def to_send(self) -> set[str]:
        """Relpaths of what is still to be sent: missing, or wrong."""
        return {*self.missing, *(entry["relpath"] for entry in self.mismatched)}

    def require(self, most_item_bytes: int) -> None:
        """Go on only if nothing is missing, different or unannounced.

        :param most_item_bytes: what a single PUT can carry.
        :raises UploadIncomplete: with relpaths, what was expected and what was found.
        :raises UnannouncedItems: with the identifiers of what was not announced, too.
        """
        if self.strays:
            strays = [_stray(identifier) for identifier in self.strays]
            raise UnannouncedItems(
                f"Storage holds {len(strays)} item(s) under this UUID that were not announced",
                self.missing,
                [*self.mismatched, *strays],
            )
        if self.missing or self.mismatched:
            limit = (
                f" (a single PUT carries at most {most_item_bytes} bytes, so a larger item cannot "
                "arrive)"
                if self.has_missing_of_any_size
                else ""
            )
            raise UploadIncomplete(
                f"{len(self.missing)} item(s) are missing and {len(self.mismatched)} differ from "
                f"what was announced{limit}",
                self.missing,
                self.mismatched,
            )


def verify(items: Sequence[Item], holdings: Contents) -> Verification:
    """Compare what was announced with what the store lists, by size and MD5."""
    announced = {item.identifier for item in items}
    outcome = Verification(strays=sorted(holdings.final.keys() - announced))
    for item in items:
        final = holdings.final.get(item.identifier)
        staged = holdings.staged.get(item.identifier)
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


def verify_promoted(
    promotions: Sequence[Promotion], found: Mapping[str, StoredItem]
) -> Verification:
    """Compare what a listing finds after promotion with what was verified before."""
    outcome = Verification()
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


def properties(item: Item, stored: StoredItem, hint: object) -> Properties:
    """Return an item's entry in dtool's manifest.

    :param hint: the entry in a manifest that the client uploaded; it counts where it agrees with
        the store.
    """
    timestamp = item.utc_timestamp
    if timestamp is None:
        timestamp = _hinted_timestamp(stored, hint)
    if timestamp is None:
        timestamp = stored.last_modified.timestamp()
    return {
        "relpath": item.relpath,
        "size_in_bytes": stored.size_in_bytes,
        "hash": stored.md5,
        "utc_timestamp": timestamp,
    }


def _hinted_timestamp(stored: StoredItem, hint: object) -> float | None:
    if not isinstance(hint, Mapping):
        return None
    if hint.get("hash") != stored.md5 or hint.get("size_in_bytes") != stored.size_in_bytes:
        return None
    timestamp = hint.get("utc_timestamp")
    return timestamp if is_time(timestamp) else None


def _same(one: StoredItem, other: StoredItem | None) -> bool:
    return other is not None and (one.size_in_bytes, one.md5) == (other.size_in_bytes, other.md5)


def _mismatch(item: Item, found: StoredItem | None) -> dict[str, Any]:
    return {
        "relpath": item.relpath,
        "expected": {"size_in_bytes": item.size_in_bytes, "hash": item.hash},
        "found": found and _told(found),
    }


def _stray(identifier: str) -> dict[str, Any]:
    """Name an object that nobody announced: what its path was is not known."""
    return {"relpath": identifier, "expected": None, "found": "stray"}


def _told(found: StoredItem) -> dict[str, Any]:
    told = {"size_in_bytes": found.size_in_bytes, "hash": found.md5}
    return told if found.defect is None else {**told, "defect": found.defect}
