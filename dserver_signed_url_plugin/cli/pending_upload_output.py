"""Formats pending uploads and clean-up results: text for people, ASCII JSON for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.uploads.cleanup import (
    CleanupOptions,
    CleanupOutcome,
    CleanupResult,
    OrphanedParts,
    Upload,
    Usage,
)

_WORDS = {
    CleanupOutcome.REMOVED: "would remove",
    CleanupOutcome.REPAIRED: "would repair",
}


def listing(uploads: Sequence[Upload]) -> str:
    """Format the output of `list`."""
    if not uploads:
        return "No pending uploads found."
    blocks = ["\n".join(_lines(upload)) for upload in uploads]
    return "\n\n".join([f"Found {len(uploads)} pending upload(s):", *blocks])


def listing_json(uploads: Sequence[Upload]) -> str:
    """Format the output of `list --json`: a list of uploads."""
    return _json([_facts(upload) for upload in uploads])


def people(usages: Sequence[Usage]) -> str:
    """Format the output of `list --by-person`."""
    if not usages:
        return "No pending uploads found."
    return "\n".join(
        f"{usage.uploader or 'an operator'}: {counted(usage.uploads, 'upload')}, "
        f"{counted(usage.size_in_bytes, 'byte')} announced, oldest {usage.oldest:%Y-%m-%dT%H:%M:%S}"
        for usage in usages
    )


def people_json(usages: Sequence[Usage]) -> str:
    """Format the output of `list --by-person --json`: a list of people."""
    return _json([{**vars(usage), "oldest": usage.oldest.isoformat()} for usage in usages])


def results(
    done: Sequence[CleanupResult], options: CleanupOptions, orphans: Sequence[OrphanedParts]
) -> str:
    """Format the output of `cleanup` and `delete`."""
    lines = [_sentence(result, options) for result in done]
    lines += [_orphan_sentence(orphan, options) for orphan in orphans]
    counts = Counter(result.outcome.value for result in done)
    total = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
    lines.append(f"{'Dry run: ' if options.dry_run else ''}{total or 'nothing to clean up'}.")
    if options.delete_storage:
        verb = "Would free" if options.dry_run else "Freed"
        size = _bytes(done) + _orphaned_bytes(orphans)
        lines.append(f"{verb} {counted(_objects(done), 'object')}, {counted(size, 'byte')}.")
        lines += _versions(done)
    return "\n".join(lines)


def results_json(
    done: Sequence[CleanupResult], options: CleanupOptions, orphans: Sequence[OrphanedParts]
) -> str:
    """Format the output of `cleanup --json` and `delete --json`."""
    uploads = [
        {
            **_facts(result.upload),
            "result": result.outcome.value,
            "reason": result.reason,
            "objects": result.freed.objects,
            "bytes": result.freed.size_in_bytes,
            "old_versions_remain": result.freed.old_versions_remain,
        }
        for result in done
    ]
    parts = [
        {
            "base_uri": orphan.base_uri,
            "uuid": orphan.uuid,
            "identifier": orphan.identifier,
            "result": "failed" if orphan.failure else "aborted",
            "reason": orphan.failure,
            "bytes": orphan.size_in_bytes,
        }
        for orphan in orphans
    ]
    freed = {"objects": _objects(done), "bytes": _bytes(done) + _orphaned_bytes(orphans)}
    return _json(
        {"dry_run": options.dry_run, "uploads": uploads, "orphaned_parts": parts, "freed": freed}
    )


def _lines(upload: Upload) -> list[str]:
    ends, size = upload.urls_expire_at_utc, upload.size_in_bytes
    return [
        f"UUID: {upload.uuid}",
        f"  Name: {upload.name}",
        f"  URI: {upload.uri_text}",
        f"  Creator: {upload.creator_username}",
        f"  Created: {_time(upload.created_at_utc)}",
        f"  Items: {upload.number_of_items}",
        f"  Last active: {_time(upload.last_active_at_utc)}",
        f"  Uploader: {upload.uploader or 'an operator'}",
        f"  Bytes: {'unknown' if size is None else f'{size:,}'}",
        f"  URLs end: {'none issued' if ends is None else f'{ends:%Y-%m-%dT%H:%M:%S}'}",
        f"  State: {upload.state.value}",
    ]


def _time(time: datetime) -> str:
    hours = (datetime.now(timezone.utc) - time).total_seconds() / 3600
    return f"{time:%Y-%m-%dT%H:%M:%S} ({hours:.1f} hours ago)"


def _facts(upload: Upload) -> dict[str, Any]:
    ends = upload.urls_expire_at_utc
    return {
        "uuid": upload.uuid,
        "name": upload.name,
        "uri": upload.uri_text,
        "creator_username": upload.creator_username,
        "uploader": upload.uploader,
        "created_at": upload.created_at_utc.isoformat(),
        "last_active_at": upload.last_active_at_utc.isoformat(),
        "urls_expire_at": ends and ends.isoformat(),
        "items": upload.number_of_items,
        "size_in_bytes": upload.size_in_bytes,
        "state": upload.state.value,
    }


def _sentence(result: CleanupResult, options: CleanupOptions) -> str:
    word = result.outcome.value
    if options.dry_run:
        word = _WORDS.get(result.outcome, word)
    reason = f": {result.reason}" if result.reason else ""
    size = ""
    if result.outcome is CleanupOutcome.REMOVED and options.delete_storage:
        size = f" ({result.freed.objects:,} objects, {result.freed.size_in_bytes:,} bytes)"
    return f"{result.upload.uuid} {result.upload.name}: {word}{size}{reason}"


def _orphan_sentence(orphan: OrphanedParts, options: CleanupOptions) -> str:
    what = f"{orphan.base_uri}/{orphan.uuid}" if orphan.uuid else orphan.base_uri
    if orphan.identifier:
        what += f" parts of {orphan.identifier}"
    if orphan.failure:
        return f"{what}: failed: {orphan.failure}"
    word = "would abort" if options.dry_run else "aborted"
    return f"{what}: {word} ({orphan.size_in_bytes:,} bytes, of no upload)"


def _orphaned_bytes(orphans: Sequence[OrphanedParts]) -> int:
    return sum(orphan.size_in_bytes for orphan in orphans)


def _versions(done: Sequence[CleanupResult]) -> list[str]:
    kept = sum(result.freed.objects for result in done if result.freed.old_versions_remain)
    if not kept:
        return []
    return [
        f"For {kept:,} of them the bucket keeps old versions: their bytes are not freed until a "
        "lifecycle rule, or somebody, deletes those too."
    ]


def _objects(done: Sequence[CleanupResult]) -> int:
    return sum(result.freed.objects for result in done)


def _bytes(done: Sequence[CleanupResult]) -> int:
    return sum(result.freed.size_in_bytes for result in done)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)
