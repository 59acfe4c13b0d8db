"""Answers in JSON and plain text that are written while they are sent, as of 100,000 items."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec
from flask import Response

# Members or lines that are encoded at once, and bytes that are sent at once.
_BATCH = 128
_CHUNK_BYTES = 64 * 1024


class Members:
    """The members of a JSON object, as (name, value), each of which is created when it is sent.

    Not a dataclass, which msgspec would encode as an object with a field.
    """

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self.pairs = pairs


def json_response(document: Any) -> Response:
    """Return a response with a JSON document, in which there may be ``Members`` anywhere.

    All else is encoded before. After the first bytes nothing that creates members may fail: the
    client would see a connection that breaks. A short answer is sent with its length.
    """
    chunks = _chunks(_pieces(*_encoded(document)))
    first, second = next(chunks), next(chunks, None)
    content = first if second is None else chain((first, second), chunks)
    return Response(content, mimetype="application/json")


def _encoded(document: Any) -> tuple[list[bytes], list[Members]]:
    """Return the members, and the JSON before, between and after them."""
    members: list[Members] = []
    mark = secrets.token_hex()

    def note(value: Any) -> str:
        if not isinstance(value, Members):
            raise TypeError(f"{type(value).__name__} in an answer")
        members.append(value)
        return mark

    encoded = msgspec.json.encode(document, enc_hook=note)
    return encoded.split(f'"{mark}"'.encode()), members


def _pieces(fixed: list[bytes], members: list[Members]) -> Iterator[bytes]:
    yield fixed[0]
    for these, after in zip(members, fixed[1:], strict=True):
        separator = b"{"
        for batch in _batches(these.pairs):
            yield separator + msgspec.json.encode(dict(batch))[1:-1]
            separator = b","
        yield (b"{}" if separator == b"{" else b"}") + after


def ndjson_response(head: Any, lines: Iterable[Any]) -> Response:
    """Return a response with a JSON document in each line, which are created while it is sent."""
    encode = msgspec.json.Encoder().encode_lines
    batches = chain(([head],), _batches(lines))
    return Response(_chunks(map(encode, batches)), content_type="application/x-ndjson")


def text_response(lines: Iterable[str]) -> Response:
    """Return a response with a text in UTF-8, which is created while it is sent."""
    pieces = ("".join(batch).encode() for batch in _batches(lines))
    return Response(_chunks(pieces), content_type="text/plain; charset=utf-8")


def _batches(things: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(things)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces together: a server sends each chunk in a packet of its own."""
    written = bytearray()
    for piece in pieces:
        written += piece
        if len(written) >= _CHUNK_BYTES:
            yield bytes(written)
            written.clear()
    if written:
        yield bytes(written)
