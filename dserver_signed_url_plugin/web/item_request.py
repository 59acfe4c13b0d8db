"""The body of a request for several items of a dataset."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from dserver_signed_url_plugin.downloads.selection import (
    MAX_ITEMS,
    MAX_PATTERN_CHARACTERS,
    Selection,
)
from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.filenames import Disposition
from dserver_signed_url_plugin.web.json_decoder import check_is_object, decoded, max_memory

# Enough for 10,000 relpaths of 800 bytes.
MAX_BYTES = 8 * 1024 * 1024
_MAX_MEMORY_BYTES = 4 * MAX_BYTES
_REASONS = {
    "identifiers": f"Not a list of at most {MAX_ITEMS:,} strings.",
    "relpaths": f"Not a list of at most {MAX_ITEMS:,} strings.",
    "match": f"Not a string of 1 to {MAX_PATTERN_CHARACTERS} characters.",
    "expiry_seconds": "Not a whole number of seconds, 1 or more.",
    "disposition": "Must be one of: attachment, inline.",
}

Strings = Annotated[list[str], Meta(max_length=MAX_ITEMS)]


class ItemRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request for URLs of the items that one of the first three fields names."""

    identifiers: Strings | None = None
    relpaths: Strings | None = None
    match: Annotated[str, Meta(min_length=1, max_length=MAX_PATTERN_CHARACTERS)] | None = None
    expiry_seconds: Annotated[int, Meta(ge=1)] | None = None
    disposition: Disposition = "attachment"

    @classmethod
    def decode(cls, raw: bytes) -> ItemRequest:
        """Decode a body.

        :raises InvalidField: for a value that does not fit.
        :raises UnreadableBody: for anything but JSON.
        """
        check_is_object(raw)
        if max_memory(raw) > max(_MAX_MEMORY_BYTES, 6 * len(raw)):
            raise InvalidField("body", "holds too many small values; send fewer.", status=422)
        request = decoded(raw, cls, _REASONS)
        given = (request.identifiers, request.relpaths, request.match)
        if sum(value is not None for value in given) != 1:
            reason = "Send exactly one of identifiers, relpaths and match."
            raise InvalidField("body", reason, status=422)
        return request

    @property
    def selection(self) -> Selection:
        """The items that are requested."""
        return Selection(self.identifiers, self.relpaths, self.match)
