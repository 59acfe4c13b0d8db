"""Names that dserver and dtool refuse, refused before anything waits for them.

The rules are those of ``POST /signed-urls/upload``.
"""

from __future__ import annotations

import ntpath
import re

import dtoolcore.utils

from dserver_client.errors import UsageError

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Windows takes a backslash for a slash, and ignores blanks at the end of a segment.
_LEAVES_ON_WINDOWS = re.compile(r"^\\|(?:^|[/\\])(?:\.\. *|[A-Za-z]:)(?:[/\\]|$)")


def check_name(kind: str, name: str) -> None:
    """Check the name of a dataset, a tag, an annotation or an overlay.

    :raises UsageError: with the reason.
    """
    if not dtoolcore.utils.name_is_valid(name) or name.endswith("\n") or not name.strip("."):
        raise UsageError(
            f"The {kind} {name[:100]!r} has no name for dtool: 1 to "
            f"{dtoolcore.utils.MAX_NAME_LENGTH} of the characters a-z, A-Z, 0-9, '-', '_' and '.'."
        )
    if kind in ("annotation", "overlay") and "." in name:
        raise UsageError(f"The {kind} {name!r} has a dot, on which dtool's listings break.")


def check_relpath(relpath: str) -> None:
    """Check the path of an item within its dataset.

    :raises UsageError: with the reason.
    """
    reason = None
    if not relpath:
        reason = "is empty"
    elif relpath.startswith("/"):
        reason = "is absolute; it must be relative to the dataset"
    elif _UNPRINTABLE.search(relpath):
        reason = "has a control character, or bytes that are not UTF-8"
    elif not {"", ".", ".."}.isdisjoint(relpath.split("/")):
        reason = "has an empty, '.' or '..' segment"
    elif _LEAVES_ON_WINDOWS.search(relpath) or ntpath.splitdrive(relpath)[0]:
        reason = "leads out of the dataset on Windows"
    if reason is not None:
        raise UsageError(f"The path {relpath[:200]!r} {reason}.")
