"""Formats shares: text for people, ASCII JSON for scripts; never a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dserver_signed_url_plugin.audit.decisions import Use
from dserver_signed_url_plugin.cli.output import extent_text, json_list, printable, time_text
from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.shares.facts import EndReason
from dserver_signed_url_plugin.shares.service import CreatedShare, ShareFacts
from dserver_signed_url_plugin.times import timestamp

_NOTE_CHARACTERS = 40
_OPERATOR = "an operator"
_REASONS: Mapping[EndReason, str] = {
    "revoked": "revoked",
    "dataset-deleted": "ended with its dataset",
    "owner-deleted": "ended with its owner",
}
_USES = {
    "share-open": "Opened",
    "share-preview": "Previewed",
    "share-download": "Downloaded",
}
# Of what was deposited where no link could be made.
NO_LINK: Mapping[str, Any] = {"id": None, "link": None, "expires_timestamp": None}


def created(made: CreatedShare, link: str) -> dict[str, Any]:
    """Return what `create --json` prints."""
    share = made.share
    limited = {} if made.limited_by is None else {"expiry_limited_by": made.limited_by}
    return {
        "id": share.id,
        "link": link,
        "uri": str(share.uri),
        "items": None if made.items is None else list(made.items),
        "expires_timestamp": timestamp(share.ends_at),
        **limited,
        "max_downloads": share.max_downloads,
        "note": share.note,
    }


def remarks(made: CreatedShare) -> Iterator[str]:
    """Yield what is said of a new share beside its link."""
    share = made.share
    if made.limited_by is not None:
        yield f"The link works for less time than requested: limited by {made.limited_by}."
    most = share.max_downloads
    limit = "" if most is None else f", for {counted(most, 'download')}"
    yield (
        f"The link to {_extent(share)} works until {time_text(share.ends_at)}{limit}. "
        f"`flask share revoke {share.id}` ends it."
    )


def lines(shares: Iterable[ShareFacts]) -> Iterator[str]:
    """Yield the lines of `list`."""
    is_empty = True
    for share in shares:
        is_empty = False
        yield line(share)
    if is_empty:
        yield "No shares found."


def line(share: ShareFacts) -> str:
    """Return a share in one line."""
    words = [use(share), f"{share.uri} {printable(share.name)}"]
    words += [_short(share.note)] if share.note else []
    return "  ".join(words)


def use(share: ShareFacts) -> str:
    """Return the ID, end and downloads of a share, beside its dataset."""
    return f"{share.id}  {_ending(share)}  {_downloads(share)}  by {_owner(share)}"


def json_lines(shares: Iterable[ShareFacts]) -> Iterator[str]:
    """Yield the lines of a JSON list of shares, one line each."""
    return json_list(share.as_json() for share in shares)


def facts_with_uses(share: ShareFacts, uses: Mapping[str, Use]) -> dict[str, Any]:
    """Return what `show --json` prints."""
    return {
        **share.as_json(),
        "uses": {
            action: {"count": use.count, "last_timestamp": timestamp(use.last)}
            for action, use in uses.items()
        },
    }


def description(share: ShareFacts, uses: Mapping[str, Use]) -> Iterator[str]:
    """Yield the lines of `show`."""
    yield f"Share {share.id}: {_ending(share)}"
    yield f"  Dataset: {share.uri} {printable(share.name)}"
    yield f"  Shared: {_extent(share)}"
    yield f"  Owner: {_owner(share)}"
    yield f"  Created: {time_text(share.created_at)}"
    yield f"  Ends: {time_text(share.ends_at)}"
    if share.ended_at is not None:
        yield f"  Ended: {time_text(share.ended_at)}"
    most = "" if share.max_downloads is None else f" of {share.max_downloads:,}"
    yield f"  Downloads: {share.downloads:,}{most}"
    for note in (share.note or "").splitlines()[:1]:
        yield f"  Note: {note}"
    for note in (share.note or "").splitlines()[1:]:
        yield f"        {note}"
    for action, use in uses.items():
        yield f"  {_USES[action]}: {counted(use.count, 'time')}, last {time_text(use.last)}"


def revoked(results: Mapping[str, ShareFacts | None]) -> list[dict[str, Any]]:
    """Return what `revoke --json` prints."""
    return [
        {"id": share_id, "result": "unknown"}
        if share is None
        else {
            **share.as_json(),
            "result": "revoked" if share.ended_because == "revoked" else "ended",
        }
        for share_id, share in results.items()
    ]


def _ending(share: ShareFacts) -> str:
    if share.state == "active":
        return f"works until {time_text(share.ends_at)}"
    if share.state == "expired":
        return f"expired {time_text(share.ends_at)}"
    if share.ended_at is not None and share.ended_because is not None:
        return f"{_REASONS[share.ended_because]} {time_text(share.ended_at)}"
    if share.state == "used-up":
        return "used up"
    return "its dataset is not available"


def _downloads(share: ShareFacts) -> str:
    most = share.max_downloads
    if most is None:
        return counted(share.downloads, "download")
    return f"{share.downloads:,} of {counted(most, 'download')}"


def _extent(share: ShareFacts) -> str:
    return extent_text(share.number_of_items, "item", share.size_in_bytes)


def _owner(share: ShareFacts) -> str:
    return printable(share.owner) or _OPERATOR


def _short(note: str) -> str:
    first, *more = note.splitlines()
    cut = first[:_NOTE_CHARACTERS]
    return f'"{cut}{"…" if more or cut != first else ""}"'
