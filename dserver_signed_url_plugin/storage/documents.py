"""Reading what dtool stores of a dataset: its type, and the names of what describes it.

Makes no request. What dtool does not write is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress

# As dtoolcore.utils.name_is_valid has it, but for a line break at the end and names of dots alone.
_NAME = re.compile(r"(?!\.+$)[0-9a-zA-Z._-]{1,80}")
DESCRIPTION = ".json"


def type_in(admin_metadata: bytes | None) -> str | None:
    """Return dtool's type in the JSON of admin metadata, or None if it has none."""
    if admin_metadata is None:
        return None
    with suppress(ValueError, RecursionError):
        values = json.loads(admin_metadata)
        if isinstance(values, dict) and isinstance(values.get("type"), str):
            return str(values["type"])
    return None


def is_name(name: str) -> bool:
    """Return whether this can be a tag, or the name of an overlay or annotation."""
    return _NAME.fullmatch(name) is not None


def tag_names(names: Iterable[str]) -> list[str]:
    """Return the names that can be tags; those of folders and foreign objects cannot."""
    return [name for name in names if is_name(name)]


def description_names(names: Iterable[str]) -> list[str]:
    """Return the names of overlays or annotations, without the ending of their objects."""
    described = [name.removesuffix(DESCRIPTION) for name in names if name.endswith(DESCRIPTION)]
    return [name for name in described if is_name(name)]
