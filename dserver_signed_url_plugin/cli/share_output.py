"""Formats shares: text for people, ASCII JSON for scripts; never a token."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from dserver_signed_url_plugin.audit.decisions import Use
from dserver_signed_url_plugin.cli.names import printable
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
# Of what was deposited where no link could be made.
NO_LINK: Mapping[str, Any] = {"id": None, "link": None, "expires_timestamp": None}


def created(made: CreatedShare, link: str) -> dict[str, Any]:
    """Return what `create --json` prints, as the HTTP API answers it."""
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
    yield (
        f"The link to {_extent(share)} works until {_time(share.ends_at)}"
        f"{'' if share.max_downloads is None else f', for {share.max_downloads:,} download(s)'}. "
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


def json_list(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a JSON list, one entry at a time."""
    before = "["
    for entry in entries:
        yield before
        before = f"  {json.dumps(entry)},"
    yield before.rstrip(",")
    yield "]"


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
    yield f"  Created: {_time(share.created_at)}"
    yield f"  Ends: {_time(share.ends_at)}"
    if share.ended_at is not None:
        yield f"  Ended: {_time(share.ended_at)}"
    yield f"  Downloads: {_downloads(share)}"
    for note in (share.note or "").splitlines()[:1]:
        yield f"  Note: {note}"
    for note in (share.note or "").splitlines()[1:]:
        yield f"        {note}"
    for action, use in uses.items():
        yield f"  {action}: {use.count:,} in the audit, last {_time(use.last)}"


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
    if share.state == "living":
        return f"works until {_time(share.ends_at)}"
    if share.state == "expired":
        return f"expired {_time(share.ends_at)}"
    if share.ended_at is not None and share.ended_because is not None:
        return f"{_REASONS[share.ended_because]} {_time(share.ended_at)}"
    return share.state.replace("-", " ")


def _downloads(share: ShareFacts) -> str:
    most = "" if share.max_downloads is None else f" of {share.max_downloads:,}"
    return f"{share.downloads:,}{most} download(s)"


def _extent(share: ShareFacts) -> str:
    size = "" if share.size_in_bytes is None else f", {share.size_in_bytes:,} bytes"
    return f"{share.number_of_items:,} item(s){size}"


def _owner(share: ShareFacts) -> str:
    return printable(share.owner) or _OPERATOR


def _short(note: str) -> str:
    first, *more = note.splitlines()
    cut = first[:_NOTE_CHARACTERS]
    return f'"{cut}{"…" if more or cut != first else ""}"'


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
