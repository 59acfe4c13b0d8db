"""Under which name, and as what, a browser saves or shows an item.

Knows headers and file names; never looks into a file.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

Disposition = Literal["attachment", "inline"]


@dataclass(frozen=True)
class ServedAs:
    """Headers of an answer: Content-Disposition and Content-Type, both ASCII."""

    content_disposition: str
    content_type: str


def served_as(relpath: str, disposition: Disposition) -> ServedAs:
    """Return the headers with which an item is to be served."""
    name = relpath.rpartition("/")[2]
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return ServedAs(f"{disposition}; filename*=UTF-8''{quote(name, safe='')}", content_type)
