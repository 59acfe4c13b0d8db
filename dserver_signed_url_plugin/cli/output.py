"""What the operator's commands say: text for people, JSON for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from dserver_signed_url_plugin.uploads.cleanup import (
    REMOVED,
    REPAIRED,
    CleanupOptions,
    CleanupResult,
    Upload,
    Usage,
)

_WORDS = {REMOVED: "would remove", REPAIRED: "would repair"}


def listing(uploads: Sequence[Upload]) -> str:
    """Return what `list` says."""
    if not uploads:
        return "No pending uploads found."
    blocks = ["\n".join(_lines(upload)) for upload in uploads]
    return "\n\n".join([f"Found {len(uploads)} pending upload(s):", *blocks])


def listing_json(uploads: Sequence[Upload]) -> str:
    """Return what `list --json` says: a list of uploads."""
    return _json([_facts(upload) for upload in uploads])


def people(uses: Sequence[Usage]) -> str:
    """Return what `list --by-person` says."""
    if not uses:
        return "No pending uploads found."
    return "\n".join(
        f"{use.uploader or 'an operator'}: {use.uploads:,} upload(s), {use.size_in_bytes:,} bytes "
        f"announced, oldest {use.oldest:%Y-%m-%dT%H:%M:%S}"
        for use in uses
    )


def people_json(uses: Sequence[Usage]) -> str:
    """Return what `list --by-person --json` says: a list of people."""
    return _json([{**vars(use), "oldest": use.oldest.isoformat()} for use in uses])


def outcomes(done: Sequence[CleanupResult], wish: CleanupOptions) -> str:
    """Return what `cleanup` and `delete` say."""
    lines = [_sentence(outcome, wish) for outcome in done]
    counts = Counter(outcome.result for outcome in done)
    total = ", ".join(f"{number} {result}" for result, number in sorted(counts.items()))
    lines.append(f"{'Dry run: ' if wish.dry_run else ''}{total or 'nothing to clean up'}.")
    if wish.delete_storage:
        verb = "Would free" if wish.dry_run else "Freed"
        lines.append(f"{verb} {_objects(done):,} object(s), {_bytes(done):,} bytes.")
        lines += _versions(done)
    return "\n".join(lines)


def outcomes_json(done: Sequence[CleanupResult], wish: CleanupOptions) -> str:
    """Return what `cleanup --json` and `delete --json` say."""
    uploads = [
        {
            **_facts(outcome.upload),
            "result": outcome.result,
            "reason": outcome.reason,
            "objects": outcome.freed.objects,
            "bytes": outcome.freed.size_in_bytes,
            "old_versions_remain": outcome.freed.old_versions_remain,
        }
        for outcome in done
    ]
    freed = {"objects": _objects(done), "bytes": _bytes(done)}
    return _json({"dry_run": wish.dry_run, "uploads": uploads, "freed": freed})


def _lines(upload: Upload) -> list[str]:
    ends, size = upload.urls_expire_at_utc, upload.size_in_bytes
    return [
        f"UUID: {upload.uuid}",
        f"  Name: {upload.name}",
        f"  URI: {upload.uri}",
        f"  Creator: {upload.creator_username}",
        f"  Created: {_moment(upload.created_at_utc)}",
        f"  Items: {upload.number_of_items}",
        f"  Last active: {_moment(upload.last_active_at_utc)}",
        f"  Uploader: {upload.uploader or 'an operator'}",
        f"  Bytes: {'unknown' if size is None else f'{size:,}'}",
        f"  URLs end: {'none given out' if ends is None else f'{ends:%Y-%m-%dT%H:%M:%S}'}",
        f"  State: {upload.state}",
    ]


def _moment(moment: datetime) -> str:
    hours = (datetime.now(timezone.utc) - moment).total_seconds() / 3600
    return f"{moment:%Y-%m-%dT%H:%M:%S} ({hours:.1f} hours ago)"


def _facts(upload: Upload) -> dict[str, Any]:
    ends = upload.urls_expire_at_utc
    return {
        "uuid": upload.uuid,
        "name": upload.name,
        "uri": upload.uri,
        "creator_username": upload.creator_username,
        "uploader": upload.uploader,
        "created_at": upload.created_at_utc.isoformat(),
        "last_active_at": upload.last_active_at_utc.isoformat(),
        "urls_expire_at": ends and ends.isoformat(),
        "items": upload.number_of_items,
        "size_in_bytes": upload.size_in_bytes,
        "state": upload.state,
    }


def _sentence(outcome: CleanupResult, wish: CleanupOptions) -> str:
    word = _WORDS.get(outcome.result, outcome.result) if wish.dry_run else outcome.result
    reason = f": {outcome.reason}" if outcome.reason else ""
    size = ""
    if outcome.result == REMOVED and wish.delete_storage:
        size = f" ({outcome.freed.objects:,} objects, {outcome.freed.size_in_bytes:,} bytes)"
    return f"{outcome.upload.uuid} {outcome.upload.name}: {word}{size}{reason}"


def _versions(done: Sequence[CleanupResult]) -> list[str]:
    kept = sum(outcome.freed.objects for outcome in done if outcome.freed.old_versions_remain)
    if not kept:
        return []
    return [
        f"Of {kept:,} of them the bucket keeps old versions: their bytes are not freed until a "
        "lifecycle rule, or somebody, deletes those too."
    ]


def _objects(done: Sequence[CleanupResult]) -> int:
    return sum(outcome.freed.objects for outcome in done)


def _bytes(done: Sequence[CleanupResult]) -> int:
    return sum(outcome.freed.size_in_bytes for outcome in done)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)
