"""Read response bodies up to a limit, as a response may be endless."""

from __future__ import annotations

import io
import math

from urllib3 import HTTPResponse
from urllib3.response import BaseHTTPResponse

# Bytes, decoded. An announcement of 100,000 items is answered with 65 MB.
MAX_BYTES = 256 << 20
# What a store or a proxy says of an error is shorter, and a PUT is answered with nothing.
MAX_ERROR_BYTES = 64 << 10
_PIECE = 64 << 10


def loaded(response: BaseHTTPResponse, most: int) -> BaseHTTPResponse:
    """Return an answer with its body, decoded, or with the first bytes of a longer one.

    The connection is kept only if the body was read to its end.
    """
    if _length(response) <= most:
        _ = response.data
        return response
    return HTTPResponse(
        io.BytesIO(_first_bytes(response, most)),
        response.headers,
        response.status,
        version=response.version,
        reason=response.reason,
        decode_content=False,
        enforce_content_length=False,
    )


def _length(response: BaseHTTPResponse) -> float:
    """Return how many bytes a body has at most, decoded."""
    headers = response.headers
    length = headers.get("Content-Length", "")
    if "Content-Encoding" in headers or "Transfer-Encoding" in headers:
        return math.inf
    return int(length) if length.isdecimal() and len(length) < 20 else math.inf


def _first_bytes(response: BaseHTTPResponse, most: int) -> bytes:
    pieces, left = [], most
    while left and (piece := response.read(min(_PIECE, left))):
        pieces.append(piece)
        left -= len(piece)
    if not left:
        # There may be more.
        response.close()
    response.release_conn()
    return b"".join(pieces)
