"""Which distribution dtool uses for ``dserver://``.

dtool asks all entry points of the group ``dtool.storage_brokers`` for their keys, and of several
with one key uses the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

GROUP = "dtool.storage_brokers"
KEY = "dserver"
_OWN = "dserver-client"


@dataclass(frozen=True)
class Owner:
    """A distribution with a storage broker for ``dserver://``."""

    distribution: str
    version: str

    @property
    def is_this(self) -> bool:
        return self.distribution == _OWN


def owners() -> list[Owner]:
    """Return the distributions that compete for ``dserver://``; dtool uses the last."""
    return [
        Owner(point.dist.name, point.dist.version)
        for point in entry_points(group=GROUP)
        if point.dist is not None and _key(point) == KEY
    ]


def _key(point: EntryPoint) -> str | None:
    try:
        key: str | None = point.load().key
    except Exception:  # noqa: BLE001 - whatever another distribution fails with, it has no broker
        return None
    return key
