"""Sizes, durations, times and names as people read them on a page."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from dserver_signed_url_plugin.quantities import counted

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


def duration(seconds: int) -> str:
    """Return about how long that is, in one or two units: ``"6 days and 3 hours"``.

    Days are rounded to the hour, ten days and more to the day; shorter durations are rounded down.
    """
    if seconds < _MINUTE:
        return "less than a minute"
    if seconds < _DAY:
        return _two_units(seconds, _HOUR, "hour", _MINUTE, "minute")
    precision = _DAY if seconds >= 10 * _DAY else _HOUR
    rounded = (seconds + precision // 2) // precision * precision
    return _two_units(rounded, _DAY, "day", _HOUR, "hour")


def _two_units(seconds: int, large: int, larger: str, small: int, smaller: str) -> str:
    numbers = (seconds // large, larger), (seconds % large // small, smaller)
    return " and ".join(counted(number, noun) for number, noun in numbers if number)


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
