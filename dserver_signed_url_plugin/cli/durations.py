"""Durations as options accept them: ``600``, ``90m``, ``24h`` or ``7d``; and times.

A number without a unit counts in the unit of its option, which the option's help text names; a few
options require a unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import click

from dserver_signed_url_plugin.quantities import counted
from dserver_signed_url_plugin.times import in_utc

SECOND, HOUR, DAY = 1, 3600, 86_400
_NOUNS = {SECOND: "second", HOUR: "hour", DAY: "day"}
_SUFFIXES = {"s": SECOND, "m": 60, "h": HOUR, "d": DAY}
_WITH_UNIT = re.compile(r"([0-9]{1,18})([smhd])")
_DATE = re.compile(r"[0-9]{4}-|[0-9]{8}(T|$)")
# What `moment` accepts, for the help of options.
SINCE = (
    "since a time (2026-11-20, 2026-11-20T08:00; UTC), or of the last 600 (seconds), 90m, 24h or 7d"
)
UNTIL = "before a time, written as for --since"
# Counted back from now, this is still a date that Python and the databases know.
_LONGEST = 365_000 * DAY


def whole(unit: int, least: int = 0, most: int | None = None) -> Callable[[str], int]:
    """Return what converts the text of an option to a whole number of its unit.

    :param unit: SECOND, HOUR or DAY.
    :param most: the largest number that is accepted; by default about 1,000 years.
    """
    convert = fractional(unit, least, most)

    def duration(text: str) -> int:
        number = convert(text)
        if number != int(number):
            raise click.BadParameter(f"{text!r} is not a whole number of {_NOUNS[unit]}s.")
        return int(number)

    return duration


def seconds_with_unit(text: str) -> int:
    """Return the seconds of a duration that has a unit, and is not zero."""
    if not _WITH_UNIT.fullmatch(text.strip()):
        raise click.BadParameter(f"{text!r} is not a duration with a unit, such as 90m, 24h or 7d.")
    return whole(SECOND, least=1)(text)


def fractional(unit: int, least: int = 0, most: int | None = None) -> Callable[[str], float]:
    """Return what converts the text of an option to a number of its unit, as `whole` does."""
    most = _LONGEST // unit if most is None else most

    def duration(text: str) -> float:
        number = _number(text.strip(), unit)
        if not math.isfinite(number):
            raise click.BadParameter(
                f"{text!r} is not a duration such as 600 ({_NOUNS[unit]}s), 90m, 24h or 7d."
            )
        if number < least:
            raise click.BadParameter(f"{text} is less than {counted(least, _NOUNS[unit])}.")
        if number > most:
            raise click.BadParameter(f"{text} is more than {counted(most, _NOUNS[unit])}.")
        return number

    return duration


def moment(text: str) -> datetime:
    """Convert a date, a time (UTC, unless it names an offset), or a duration before now."""
    try:
        if not _DATE.match(text):
            return datetime.now(timezone.utc) - timedelta(seconds=whole(SECOND)(text))
        # Python 3.10 does not know the Z that this plugin writes.
        return in_utc(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (ValueError, OverflowError, click.BadParameter) as error:
        raise click.BadParameter(
            f"{text!r} is neither a time such as 2026-11-20 or 2026-11-20T08:00 nor a duration "
            "such as 600 (seconds), 90m, 24h or 7d."
        ) from error


def _number(text: str, unit: int) -> float:
    """Return the number of units; NaN if it is no duration."""
    if found := _WITH_UNIT.fullmatch(text):
        return int(found[1]) * _SUFFIXES[found[2]] / unit
    try:
        return float(text)
    except ValueError:
        return math.nan
