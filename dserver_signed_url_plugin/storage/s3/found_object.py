"""What HEAD tells of an object of S3, which may be archived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dserver_signed_url_plugin.storage.s3.response_checks import etag_of
from dserver_signed_url_plugin.storage.values import FoundObject

# Storage classes out of which nothing is read before it is restored.
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


def found_object(answer: Mapping[str, Any]) -> FoundObject:
    """Read an answer to HeadObject; source: AWS, "HeadObject", section "Response Syntax"."""
    restored = answer.get("Restore", "")
    archived = answer.get("StorageClass") in _ARCHIVES or "ArchiveStatus" in answer
    return FoundObject(
        {name.lower(): value for name, value in answer["Metadata"].items()},
        etag_of(answer),
        archived and 'ongoing-request="false"' not in restored,
        'ongoing-request="true"' in restored,
    )
