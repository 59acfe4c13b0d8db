"""Sizes, durations, times and names as people read them on a page."""

from __future__ import annotations

import unicodedata
from datetime import datetime

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_JOINERS = "\u200c\u200d"  # used in emoji, and in words of several scripts
# Unicode categories: control and format characters, surrogates, line and paragraph separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = f"\n\t{_JOINERS}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def size(size_in_bytes: int) -> str:
    """Return a number of bytes in decimal units: ``"1.5 MB"``."""
    if size_in_bytes < 1000:
        return counted(size_in_bytes, "byte")
    amount: float = size_in_bytes
    *smaller, largest = _UNITS
    for unit in smaller:
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} {largest}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``"1 file"``, ``"2,000 files"``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: int) -> str:
    """Return a duration in its one or two largest units: ``"6 days and 3 hours"``."""
    if seconds < _MINUTE:
        return "less than a minute"
    larger, unit, smaller, noun = next(
        (larger, unit, smaller, noun)
        for larger, unit, smaller, noun in (
            (_DAY, "day", _HOUR, "hour"),
            (_HOUR, "hour", _MINUTE, "minute"),
            (_MINUTE, "minute", 1, ""),
        )
        if seconds >= larger
    )
    rest = seconds % larger // smaller
    # Nobody needs the hours of a month, or the seconds of a minute.
    if not rest or not noun or seconds >= 10 * _DAY:
        return counted(seconds // larger, unit)
    return f"{counted(seconds // larger, unit)} and {counted(rest, noun)}"


def moment(time: datetime) -> str:
    """Return a time (UTC) with its date: ``"3 December 2026, 06:35 UTC"``."""
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def visible(text: str) -> str:
    """Return text with what is not shown, or would reorder it, written as an escape sequence.

    Line breaks and tabs are kept.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """Return ``visible`` text in one line."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
