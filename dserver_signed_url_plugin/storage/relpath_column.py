"""The relpaths of items in little memory, their order, and a search that compares none singly.

Relpaths are UTF-8, in which the order of bytes is that of code points.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

# A byte that UTF-8 never has.
_SEPARATOR = b"\xff"
# Relpaths whose texts are in memory at the same time.
_BATCH = 1000


class RelpathColumn:
    """Relpaths by number, from 0 on."""

    def __init__(self) -> None:
        self._content, self._ends = bytearray(), array("q", [0])
        self._order, self._folded = array("I"), b""

    def extend(self, relpaths: Sequence[bytes]) -> None:
        """Add relpaths, before the first use of their order."""
        ends = accumulate(map(len, relpaths), initial=len(self._content))
        next(ends)  # that of the relpath before
        self._ends.extend(ends)
        self._content += b"".join(relpaths)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> bytes:
        return bytes(self._content[self._ends[number] : self._ends[number + 1]])

    def some(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield some of the relpaths."""
        ends = self._ends[start : stop + 1]
        content = bytes(self._content[ends[0] : ends[-1]])
        return (content[a - ends[0] : b - ends[0]] for a, b in pairwise(ends))

    @property
    def size_in_memory(self) -> int:
        """Approximately, in bytes, with the order and what is searched, which may come later."""
        return 2 * len(self._content) + len(self) * (self._ends.itemsize + self._order.itemsize + 1)

    @property
    def order(self) -> Sequence[int]:
        """The numbers, sorted by relpath."""
        if not self._order:
            self._order = array("I", sorted(range(len(self)), key=self.__getitem__))
        return self._order

    def containing(self, part: str) -> Matches:
        """Return the relpaths with a part; case and Unicode normalisation do not count."""
        if not self._folded:
            self._folded = b"".join(self._folded_batches())
        wanted = _folded(part.encode(errors="surrogatepass"))
        # The rest of a relpath is a part of the match, so that each is found once.
        expression = re.compile(re.escape(wanted) + b"[^\xff]*")
        starts = [match.start() for match in expression.finditer(self._folded)]
        return Matches(self.order, self._folded, starts)

    def _folded_batches(self) -> Iterator[bytes]:
        for start in range(0, len(self), _BATCH):
            batch = map(self.__getitem__, self.order[start : start + _BATCH])
            yield _folded(_SEPARATOR.join(batch)) + _SEPARATOR


class Matches:
    """The relpaths that a search has found, in their order.

    :param order: the numbers of all relpaths, sorted by relpath.
    :param searched: all relpaths in that order, each with a separator after it.
    :param starts: where there are matches in them.
    """

    def __init__(self, order: Sequence[int], searched: bytes, starts: Sequence[int]) -> None:
        self._order, self._searched, self._starts = order, searched, starts

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, wanted: slice) -> Sequence[int]:
        """Return the numbers of some of the relpaths."""
        numbers, place, before = [], 0, 0
        for start in self._starts[wanted]:
            place += self._searched.count(_SEPARATOR, before, start)
            before = start
            numbers.append(self._order[place])
        return numbers


def _folded(text: bytes) -> bytes:
    """Return UTF-8 as it is compared (Unicode Standard, section 3.13: caseless matching).

    Separators stay, and nothing is composed across one.
    """
    caseless = text.decode(errors="surrogateescape").casefold()
    return unicodedata.normalize("NFC", caseless).encode(errors="surrogateescape")
