"""Choosing items of a dataset: by identifier, by relpath, or by a pattern of relpaths."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dserver_signed_url_plugin.errors import InvalidField
from dserver_signed_url_plugin.storage.values import Item

MAX_ITEMS = 10_000  # that are signed at once
MAX_PATTERN_CHARACTERS = 256
# Comparing one relpath takes milliseconds at most, because fnmatch's expressions do not backtrack
# across a star, but there may be 100,000 relpaths.
_MAX_SECONDS = 2.0  # of CPU time


@dataclass(frozen=True)
class Selection:
    """Items by exactly one of identifiers, relpaths, and a pattern in fnmatch's syntax."""

    identifiers: Sequence[str] | None = None
    relpaths: Sequence[str] | None = None
    match: str | None = None

    def chosen(self, entries: Mapping[str, Item]) -> tuple[dict[str, Item], list[str]]:
        """Return the items by identifier, and those identifiers or relpaths that there are not.

        :param entries: all items of the dataset, by identifier.
        :raises InvalidField: if the pattern matches too many items, or takes too much CPU time.
        """
        if self.match is not None:
            return _matching(self.match, entries), []
        if self.relpaths is not None:
            wanted = dict.fromkeys(self.relpaths)
            found = {name: one for name, one in entries.items() if one.relpath in wanted}
            there = {item.relpath for item in found.values()}
            return found, [relpath for relpath in wanted if relpath not in there]
        identifiers = dict.fromkeys(self.identifiers or ())
        found = {name: entries[name] for name in identifiers if name in entries}
        return found, [name for name in identifiers if name not in found]


def matches(pattern: str) -> re.Pattern[str]:
    """Return a pattern of relpaths as a regular expression.

    As in Python's ``fnmatch``, case counts, and ``*`` matches slashes, too.
    """
    return re.compile(fnmatch.translate(pattern))


def _matching(pattern: str, entries: Mapping[str, Item]) -> dict[str, Item]:
    expression, deadline = matches(pattern), time.thread_time() + _MAX_SECONDS
    found = {}
    for identifier, item in entries.items():
        if expression.match(item.relpath):
            found[identifier] = item
        if len(found) > MAX_ITEMS:
            raise InvalidField("match", f"matches more than {MAX_ITEMS:,} items.", status=422)
        if time.thread_time() > deadline:
            raise InvalidField("match", "takes too long; use fewer wildcards.", status=422)
    return found
