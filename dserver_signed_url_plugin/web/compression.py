"""Compression of large answers, while they are sent, for clients that accept it.

Compressed lengths can betray secrets to those who choose a part of an answer and make a client
request it many times (BREACH). Here they cannot: no other site can make a browser send the token of
a request, or knows the link of a page, and the signatures in an answer change every second.

Source: RFC 9110, section 12.5.3 (Accept-Encoding).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from flask import Request, Response, request
from werkzeug.datastructures import Accept

from dserver_signed_url_plugin.zstandard import zstd

_MIN_BYTES = 4096
_TYPES = frozenset({"application/json", "application/x-ndjson", "text/html", "text/plain"})
# The fastest level, at which signed URLs shrink to a seventh; others save another tenth at most.
_LEVEL = 1
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


class Compressor(Protocol):
    """Compresses a stream: what is passed to flush_block() can be decompressed at once."""

    def compress(self, content: bytes) -> bytes: ...

    def flush_block(self) -> bytes: ...

    def finish(self) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
        self.compress = self._stream.compress

    def flush_block(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstandard:
    def __init__(self) -> None:
        self._stream = zstd.ZstdCompressor(_LEVEL)
        self.compress = self._stream.compress

    def flush_block(self) -> bytes:
        return bytes(self._stream.flush(self._stream.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())


# By content coding, the best first.
CODINGS: dict[str, Callable[[], Compressor]] = {"zstd": _Zstandard, "gzip": _Gzip}


def compress_large(response: Response) -> Response:
    """Compress a large answer in the coding that the client likes best.

    An ``after_request`` function.
    """
    # Of a stream the length would be calculated by reading it.
    length = response.calculate_content_length() if response.is_sequence else None
    is_small = length is not None and length < _MIN_BYTES
    if is_small or response.mimetype not in _TYPES or "Content-Encoding" in response.headers:
        return response
    response.vary.add("Accept-Encoding")
    coding = chosen(request)
    if coding is not None:
        response.response = _compressed(response.iter_encoded(), CODINGS[coding]())
        response.headers["Content-Encoding"] = coding
        response.headers.pop("Content-Length", None)
    return response


def chosen(request: Request) -> str | None:
    """Return the coding that the client likes best, or None if it wants none that we have."""
    accepted: Accept = request.accept_encodings
    # Listed with a quality or not at all: then anything that is accepted is better.
    plain = max((quality for name, quality in accepted if name == "identity"), default=0)
    best = max(CODINGS, key=accepted.quality)
    quality = accepted.quality(best)
    return best if quality > 0 and quality >= plain else None


def _compressed(chunks: Iterable[bytes], compressor: Compressor) -> Iterator[bytes]:
    """Yield what is ready of each chunk, and of the first one everything."""
    is_first = True
    for chunk in chunks:
        ready = compressor.compress(chunk)
        if is_first:
            ready += compressor.flush_block()
            is_first = False
        if ready:
            yield ready
    yield compressor.finish()
