"""The items of a grant, of which there may be 100,000: 65 MB of URLs that are kept compressed."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from dserver_client.server.answers import MALFORMED, item_to_send
from dserver_client.values import ItemToSend

_BATCH = 500  # items that are compressed together
_BLOCK = 1 << 18  # bytes of an answer that are decoded at a time
_LEVEL = 1  # of zlib: a sixth of the bytes, as higher ones, in a fraction of the time

_STRING = rb'"(?:[^"\\]|\\.)*"'
# Whatever has no items of its own before those of the grant.
_ITEMS = re.compile(
    rb'"upload_urls"\s*:\s*\{\s*(?:%s\s*:\s*(?:%s|null)\s*,\s*)*"items"\s*:\s*\{' % ((_STRING,) * 2)
)
_SEPARATORS = re.compile(r"[\s,]*")
_COLON = re.compile(r"[\s:]*")
_raw_decode = json.JSONDecoder().raw_decode


class GrantedItems(Mapping[str, ItemToSend]):
    """Items by identifier. They are read fast in their order, and slowly in any other."""

    def __init__(self) -> None:
        self._batches: list[bytes] = []
        self._numbers: dict[str, int] = {}  # of the batch that an item is in
        self._last: tuple[int, Mapping[str, ItemToSend]] = (-1, {})

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._numbers

    def __getitem__(self, identifier: str) -> ItemToSend:
        number = self._numbers[identifier]
        last, items = self._last
        if number != last:
            answer = json.loads(zlib.decompress(self._batches[number]))
            items = {name: item_to_send(name, each) for name, each in answer.items()}
            self._last = number, items
        return items[identifier]

    def add(self, members: Mapping[str, str]) -> None:
        """Add items, by identifier: the JSON of each."""
        self._numbers.update(dict.fromkeys(members, len(self._batches)))
        batch = ",".join(f"{json.dumps(name)}:{item}" for name, item in members.items())
        self._batches.append(zlib.compress(f"{{{batch}}}".encode(), _LEVEL))


def loads(content: bytes) -> Any:
    """Return what JSON means, in which the items of a grant are values.

    :raises ValueError: if it is no JSON, or no grant.
    """
    try:
        found = _ITEMS.search(content)
        if found is not None:
            return _read(content, found.end())
        answer = json.loads(content)
        urls = _urls(answer)
        urls["items"] = {name: item_to_send(name, each) for name, each in urls["items"].items()}
        return answer
    except MALFORMED as error:
        raise ValueError("This is no grant.") from error


def _read(content: bytes, start: int) -> Any:
    members = _Members(content, start)
    items = GrantedItems()
    while batch := dict(islice(members, _BATCH)):
        items.add(batch)
    answer = json.loads(content[:start] + content[members.end :])
    _urls(answer)["items"] = items
    return answer


def _urls(answer: Any) -> Any:
    """Return the URLs in an announcement's answer, or in that of a status."""
    return answer.get("upload", answer)["upload_urls"]


class _Members(Iterator[tuple[str, str]]):
    """The members of an object in JSON: identifier, and the JSON of an item that is well-formed.

    It is decoded a block at a time. ``end`` is where the object ends, when all are read.
    """

    def __init__(self, content: bytes, start: int) -> None:
        self._content, self._offset = content, start
        self._text = ""
        self._at = 0
        self.end = start

    def __next__(self) -> tuple[str, str]:
        while True:
            try:
                return self._read()
            except (json.JSONDecodeError, IndexError):
                self._decode_block()

    def _read(self) -> tuple[str, str]:
        """Read a member. Raise JSONDecodeError or IndexError if it goes on in the next block."""
        text = self._text
        at = self._at = _after(_SEPARATORS, text, self._at)
        if text[at] == "}":
            self.end = self._offset - len(text[at:].encode())
            raise StopIteration
        name, at = _raw_decode(text, at)
        if not isinstance(name, str):
            raise TypeError
        at = _after(_COLON, text, at)
        item, end = _raw_decode(text, at)
        item_to_send(name, item)
        self._at = end
        return name, text[at:end]

    def _decode_block(self) -> None:
        block = self._content[self._offset : self._offset + _BLOCK]
        if not block:
            raise ValueError("The object does not end.")
        # A character is not cut in two: UTF-8 has 0b10 at the start of each byte but its first.
        more = self._content[self._offset + len(block) : self._offset + len(block) + 3]
        block += more[: next((n for n, byte in enumerate(more) if byte & 0xC0 != 0x80), len(more))]
        self._offset += len(block)
        self._text = self._text[self._at :] + block.decode()
        self._at = 0


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where what matches a pattern ends, which may be nothing."""
    found = pattern.match(text, at)
    return at if found is None else found.end()
