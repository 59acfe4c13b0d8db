"""What a stored dataset's documents and keys say to a reader: its type, and names out of a listing.

Knows what dtool writes; makes no request. What is not dtool's is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress

# As dtoolcore.utils.name_is_valid has it, but for a line break at the end and names of dots alone.
_NAME = re.compile(r"(?!\.+$)[0-9a-zA-Z._-]{1,80}")
DESCRIPTION = ".json"


def kind_in(admin_metadata: bytes | None) -> str | None:
    """Return dtool's type that the text of admin metadata says, or None if it says none."""
    if admin_metadata is None:
        return None
    with suppress(ValueError, RecursionError):
        said = json.loads(admin_metadata)
        if isinstance(said, dict) and isinstance(said.get("type"), str):
            return str(said["type"])
    return None


def is_name(name: str) -> bool:
    """Tell whether this can be a tag, or the name of an overlay or annotation."""
    return _NAME.fullmatch(name) is not None


def tag_names(names: Iterable[str]) -> list[str]:
    """Return those names of objects that are tags; folders and other people's are none."""
    return [name for name in names if is_name(name)]


def description_names(names: Iterable[str]) -> list[str]:
    """Return the names of overlays or annotations, without the ending that their objects have."""
    described = [name.removesuffix(DESCRIPTION) for name in names if name.endswith(DESCRIPTION)]
    return [name for name in described if is_name(name)]
