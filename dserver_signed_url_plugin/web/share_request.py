"""The body of a request for a share."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from dserver_signed_url_plugin.downloads.selection import MAX_ITEMS
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.shares.service import MAX_DOWNLOADS, MAX_NOTE_CHARACTERS, NewShare
from dserver_signed_url_plugin.web.json_decoder import check_is_object, decoded, max_memory

# Enough for 10,000 relpaths of 800 bytes.
MAX_BYTES = 8 * 1024 * 1024
_MAX_MEMORY_BYTES = 4 * MAX_BYTES
_REASONS = {
    "items": f"Not a list of 1 to {MAX_ITEMS:,} relpaths; leave it out to share all items.",
    "expires_in": "Not a whole number of seconds, 1 or more.",
    "max_downloads": f"Not a whole number from 1 to {MAX_DOWNLOADS}.",
    "note": f"Not a string of at most {MAX_NOTE_CHARACTERS} characters.",
}


class ShareRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be shared, and for how long."""

    items: Annotated[list[str], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    expires_in: Annotated[int, Meta(ge=1)] | None = None
    max_downloads: Annotated[int, Meta(ge=1, le=MAX_DOWNLOADS)] | None = None
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARACTERS)] | None = None

    @classmethod
    def decode(cls, raw: bytes) -> ShareRequest:
        """Decode a body.

        :raises InvalidField: for a value that does not fit.
        :raises UnreadableBody: for anything but JSON.
        """
        check_is_object(raw)
        if max_memory(raw) > max(_MAX_MEMORY_BYTES, 6 * len(raw)):
            raise InvalidField("body", "holds too many small values; send fewer.", status=422)
        return decoded(raw, cls, _REASONS)

    @property
    def new(self) -> NewShare:
        """The share that is requested."""
        return NewShare(
            relpaths=self.items,
            expires_in=self.expires_in,
            max_downloads=self.max_downloads,
            note=self.note,
        )
