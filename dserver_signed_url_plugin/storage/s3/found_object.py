"""An object as S3 describes it when it is looked up, which may be archived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dserver_signed_url_plugin.storage.s3.response_checks import etag_of

# Storage classes out of which nothing is read before it is restored.
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True)
class FoundObject:
    """An object, as HEAD describes it.

    ``metadata`` has names in lower case: proxies change the case of header names, and boto3 does
    not. An object that ``is_archived`` cannot be read.
    """

    metadata: Mapping[str, str]
    etag: str
    is_archived: bool = False
    is_being_restored: bool = False

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> FoundObject:
        """Read an answer to HeadObject; source: AWS, "HeadObject", section "Response Syntax"."""
        restored = answer.get("Restore", "")
        archived = answer.get("StorageClass") in _ARCHIVES or "ArchiveStatus" in answer
        return cls(
            {name.lower(): value for name, value in answer["Metadata"].items()},
            etag_of(answer),
            archived and 'ongoing-request="false"' not in restored,
            'ongoing-request="true"' in restored,
        )
