"""A goal, and how its numbers are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SECONDS, TIMES, MIB, COUNT, PERCENT, MILLISECONDS = "s", "×", "MiB", "", "%", "ms"
MEGABYTES = "MB"

Results = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A number that is to be at most, or at least, another."""

    name: str
    unit: str
    value: Callable[[Results], float | None]
    most: float | None = None
    least: float | None = None

    def is_met(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        if self.most is not None:
            return value <= self.most
        return self.least is None or value >= self.least

    @property
    def text(self) -> str:
        """Return the goal as it is printed."""
        sign, limit = ("≤", self.most) if self.most is not None else ("≥", self.least)
        return f"{sign} {shown(limit, self.unit)}"


def shown(value: float | None, unit: str) -> str:
    """Return a number with its unit, or a dash."""
    if value is None:
        return "–"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    number = f"{value:,.{digits}f}"
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return f"{number} {unit}".strip().replace(" ×", "×")
