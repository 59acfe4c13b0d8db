"""Finds items by relpath, although people type another Unicode normalisation form (UAX #15).

The terminal, keyboard or file system of whoever names an item may use another one than that of the
depositor did.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection
from functools import cached_property

from dserver_signed_url_plugin.errors import ItemNotFound


class Relpaths:
    """The relpaths of a dataset.

    :param hint: how to see which there are, as the end of a sentence.
    """

    def __init__(self, relpaths: Collection[str], hint: str) -> None:
        self._relpaths, self._hint = relpaths, hint

    def find(self, relpath: str) -> str:
        """Return the relpath, or the only one that differs in its normalisation form alone.

        :raises ItemNotFound: if there is none, or more than one.
        """
        if relpath in self._relpaths:
            return relpath
        same = self._by_composed.get(_composed(relpath), [])
        if len(same) == 1:
            return same[0]
        if same:
            named = " and ".join(map(ascii, sorted(same)))
            raise ItemNotFound(ascii(relpath), f"several look the same: {named}.")
        raise ItemNotFound(repr(relpath), self._hint)

    @cached_property
    def _by_composed(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for relpath in self._relpaths:
            found[_composed(relpath)].append(relpath)
        return found


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
