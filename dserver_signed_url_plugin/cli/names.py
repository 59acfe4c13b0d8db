"""Names as commands print them."""

from __future__ import annotations


def printable(name: str) -> str:
    """Return a name that somebody else chose so that it cannot add lines or columns."""
    return name if name.isprintable() else ascii(name)
