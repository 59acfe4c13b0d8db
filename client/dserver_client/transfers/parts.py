"""Send a large item in parts, each to a recently signed URL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

from dserver_client.errors import Refused
from dserver_client.local_files import LocalFile
from dserver_client.server import Server
from dserver_client.transfers.bodies import FileRange
from dserver_client.transfers.hashing import hash_parts, md5_of_range
from dserver_client.transfers.scheduler import Limit, Task
from dserver_client.transfers.store import SignAnew, Store, usable_until
from dserver_client.values import ItemToSend, SignedPart, StoredPart

# So many URLs are signed by one request to dserver.
_BATCH = 16
# How often the URL of one part is signed, if the store refuses each.
_ATTEMPTS = 3


@dataclass(frozen=True)
class PartContext:
    """What the items in parts of one upload share.

    ``on_their_way`` is called with the bytes of each block, with those of parts that are stored
    already, and with negative numbers for what has to be sent again; ``sent`` with the bytes of
    each part that was sent.
    """

    server: Server
    store: Store
    limit: Limit
    uri: str
    on_their_way: Callable[[int], None]
    sent: Callable[[int], None]


class ItemInParts:
    """One item that is sent in parts. Threads share it."""

    def __init__(self, context: PartContext, item: ItemToSend, file: LocalFile) -> None:
        self._context, self._item, self._file = context, item, file
        self._numbers = range(1, ceil(file.size_in_bytes / max(item.part_size, 1)) + 1)
        # Guards what follows: one thread has URLs signed, and the others wait for them.
        self._lock = threading.Lock()
        self._urls: dict[int, SignedPart] = {}
        self._urls_end = 0.0
        self._left = set(self._numbers)
        self._knows_stored = False
        self._md5s: Sequence[str] = ()

    @property
    def relpath(self) -> str:
        """Return the relpath of the item."""
        return self._item.relpath

    @property
    def is_stored(self) -> bool:
        """Whether every part is stored."""
        return not self._left

    def tasks(self) -> Iterator[Task]:
        """Return a task for each part, which first asks what is stored."""
        self._knows_stored = False
        return (partial(self._send, number) for number in self._numbers)

    def prepare(self) -> None:
        """Have the MD5s of the parts, which vouch for the MD5 of the whole that was announced.

        The file is read for them unless they were computed with it, for parts of this size.

        :raises FileChanged: if the file no longer has the announced MD5.
        """
        with self._lock:
            if not self._md5s:
                if self._file.part_size != self._item.part_size:
                    hash_parts(self._file, self._item.part_size, self._context.limit)
                self._md5s = self._file.part_md5s

    def _send(self, number: int) -> None:
        """Send a part, unless it is stored.

        :raises SignAnew: if the store goes on refusing its URLs.
        """
        self.prepare()
        if not self._is_left(number):
            return
        what = f"part {number} of {self._file.relpath}"
        size = self._size_of(number)
        body = FileRange(self._file, self._offset_of(number), size, self._context.on_their_way)
        for attempt in range(1, _ATTEMPTS + 1):
            signed = self._url_of(number)
            if signed is None:
                return
            try:
                self._context.store.put(signed.url, signed.headers, body.open, size, what)
            except BaseException as error:
                body.take_back()
                if not isinstance(error, SignAnew) or attempt == _ATTEMPTS:
                    raise
                self._refused(number, signed, error)
            else:
                self._stored(number)
                return

    def _is_left(self, number: int) -> bool:
        with self._lock:
            if not self._knows_stored:
                self._sign(self._next_numbers(number))
            return number in self._left

    def _url_of(self, number: int) -> SignedPart | None:
        """Return a URL that has not expired, and its headers; None if the part is stored."""
        with self._lock:
            if time.monotonic() > self._urls_end:
                self._urls.clear()
            if number in self._left and number not in self._urls:
                self._sign(self._next_numbers(number))
            return self._urls[number] if number in self._left else None

    def _next_numbers(self, number: int) -> list[int]:
        """Return numbers of parts without a URL, from this one on."""
        others = (each for each in self._numbers if each >= number and each not in self._urls)
        left = (each for each in others if each in self._left)
        return [each for each, _ in zip(left, range(_BATCH), strict=False)]

    def _sign(self, numbers: Sequence[int]) -> None:
        """Have URLs signed, and learn what is stored if that is not known."""
        hashes = {number: self._md5s[number - 1] for number in numbers}
        try:
            answer = self._context.server.part_urls(
                self._context.uri, self._item.identifier, numbers, hashes
            )
        except Refused as refusal:
            if refusal.slug != "item-stored":
                raise
            # An earlier attempt to complete the upload has assembled it.
            self._learn(self._numbers)
            return
        self._urls.update(answer.parts)
        self._urls_end = usable_until(answer.expires)
        if not self._knows_stored:
            stored = answer.stored.items()
            self._learn(number for number, part in stored if self._fits(number, part))

    def _fits(self, number: int, part: StoredPart) -> bool:
        """Return whether a stored part is this file's.

        A store that does not tell MD5s is believed: the URLs are for bytes with this MD5.
        """
        if number not in self._numbers or part.size_in_bytes != self._size_of(number):
            return False
        return part.hash is None or part.hash == self._md5s[number - 1]

    def _learn(self, numbers: Iterable[int]) -> None:
        """Take what the store has: more than was known, or less if it has lost something."""
        stored = set(numbers)
        for number in self._left & stored:
            self._context.on_their_way(self._size_of(number))
        for number in self._numbers:
            if number not in self._left and number not in stored:
                self._context.on_their_way(-self._size_of(number))
        self._left = set(self._numbers) - stored
        self._knows_stored = True

    def _stored(self, number: int) -> None:
        with self._lock:
            self._left.discard(number)
        self._context.sent(self._size_of(number))

    def _refused(self, number: int, signed: SignedPart, refusal: SignAnew) -> None:
        """Forget the URLs, unless another thread has had them signed anew.

        :raises FileChanged: if the bytes are not those that were hashed.
        """
        if refusal.is_of_bytes and self._md5_of(number) != self._md5s[number - 1]:
            raise self._file.changed()
        with self._lock:
            if self._urls.get(number) == signed:
                self._urls.clear()

    def _md5_of(self, number: int) -> str:
        offset, size = self._offset_of(number), self._size_of(number)
        return md5_of_range(self._file, offset, size, self._context.limit)

    def _offset_of(self, number: int) -> int:
        return (number - 1) * self._item.part_size

    def _size_of(self, number: int) -> int:
        return min(self._item.part_size, self._file.size_in_bytes - self._offset_of(number))
