"""What is known about shares, without their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from dserver_signed_url_plugin.audit.decisions import Extent
from dserver_signed_url_plugin.times import timestamp
from dserver_signed_url_plugin.uris import DatasetURI

# ``next`` of a page: microseconds since 1970 UTC, and the ID of a share.
CURSOR = re.compile(r"[0-9]{1,16}-[0-9a-f]{16}\Z")

State = Literal["active", "expired", "revoked", "used-up", "unavailable"]
EndReason = Literal["revoked", "dataset-deleted", "owner-deleted"]


@dataclass(frozen=True)
class ShareFacts:
    """A share; times are UTC, sizes in bytes.

    ``owner`` is empty if an operator made it at the shell. ``is_available`` tells whether dserver
    still has the dataset, and its owner may still read it.
    """

    id: str
    uri: DatasetURI
    owner: str
    name: str
    note: str | None
    created_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_because: EndReason | None
    max_downloads: int | None
    downloads: int
    number_of_items: int
    size_in_bytes: int | None
    is_available: bool
    extent = Extent()  # looking at a share, or revoking it, grants no data

    @property
    def state(self) -> State:
        """Whether the link works now, or why it does not."""
        if self.ended_because is not None:
            return "revoked" if self.ended_because == "revoked" else "unavailable"
        if self.ends_at <= datetime.now(timezone.utc):
            return "expired"
        if self.max_downloads is not None and self.downloads >= self.max_downloads:
            return "used-up"
        return "active" if self.is_available else "unavailable"

    def as_json(self) -> dict[str, Any]:
        """Return what JSON has of it, times as UTC."""
        return {
            "id": self.id,
            "uri": str(self.uri),
            "name": self.name,
            "owner": self.owner,
            "note": self.note,
            "state": self.state,
            "ended_because": self.ended_because,
            "created_timestamp": timestamp(self.created_at),
            "expires_timestamp": timestamp(self.ends_at),
            "max_downloads": self.max_downloads,
            "downloads": self.downloads,
            "number_of_items": self.number_of_items,
            "size_in_bytes": self.size_in_bytes,
        }


@dataclass(frozen=True)
class SharePage:
    """Shares, newest first; ``next`` is the cursor of the next page, if there is one."""

    shares: Sequence[ShareFacts]
    next: str | None
    extent = Extent()  # listing shares grants no data
