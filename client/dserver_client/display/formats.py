"""Sizes, durations and names as people read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

_UNITS = ("kB", "MB", "GB", "TB", "PB")
# Control characters, which a terminal may obey; characters that change the direction of text.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def size_text(size_in_bytes: float) -> str:
    """Return a number of bytes in decimal units: ``"1.5 MB"``."""
    if abs(size_in_bytes) < 1000:
        return f"{size_in_bytes:.0f} B"
    *smaller, largest = _UNITS
    for unit in smaller:
        size_in_bytes /= 1000
        if abs(size_in_bytes) < 999.95:
            return f"{size_in_bytes:.1f} {unit}"
    return f"{size_in_bytes / 1000:.1f} {largest}"


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: ``"2 h 5 min"``."""
    whole = max(0, round(seconds))
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    amounts = [(days, "d"), (hours_left, "h"), (minutes_left, "min"), (seconds_left, "s")]
    while len(amounts) > 1 and not amounts[0][0]:
        amounts.pop(0)
    return " ".join(f"{number} {unit}" for number, unit in amounts[:2] if number) or "0 s"


def count_text(number: int, noun: str) -> str:
    """Return a number with its noun: ``"1 file"``, ``"2,000 files"``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def printable(text: str) -> str:
    """Escape what a terminal would obey instead of showing it; line breaks are kept."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in _UNPRINTABLE
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def one_line(text: str) -> str:
    """Return text for a line of its own: as `printable`, without line breaks."""
    return printable(text).replace("\n", "\\n")


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as columns that are as wide as their widest cell; the last one is not padded."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
