"""What a response to a request for a range of bytes has of the whole."""

from __future__ import annotations

import re

# Azurite has -1 as the last byte of an empty blob.
_FROM_FIRST = re.compile(r"bytes 0-(-1|\d+)/(\d+)", re.ASCII)


def is_beginning(content_range: str, size: int, limit: int | None) -> bool:
    """Return whether a response of status 206 has the range that was requested: 0 to ``limit``.

    Source: RFC 9110, section 14.4.

    :param content_range: its header Content-Range; empty if it has none.
    :param size: of its body, in bytes.
    :param limit: the last byte that was requested; None if all were, which is never answered so.
    """
    found = _FROM_FIRST.fullmatch(content_range)
    if found is None or limit is None:
        return False
    last, whole = int(found[1]), int(found[2])
    return size == last + 1 == min(limit + 1, whole)
