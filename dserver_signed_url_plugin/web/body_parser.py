"""Reading a JSON body: not too long, in an encoding that is known, and typed as soon as it is read.

Knows what may be wrong with a body before anybody looks at its fields.
"""

from __future__ import annotations

import codecs
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from flask import Request, Response, request
from webargs.flaskparser import FlaskParser, is_json_request

from dserver_signed_url_plugin.errors import BodyTooLarge, LengthRequired, UnreadableBody
from dserver_signed_url_plugin.services import services

# Codecs that take a time and a memory that is known beforehand, by Python's names.
_CHARSETS = {"utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252"} | {
    f"utf-{bits}{order}" for bits in (16, 32) for order in ("", "-le", "-be")
}
_HOW = "as in 'Content-Type: application/json; charset=utf-16'"
# Where gunicorn and Werkzeug keep the connection of a request.
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_PIECE = 64 * 1024
# Seconds that a refused body may take: between two pieces, and in all.
PATIENCE, MOST_SECONDS = 1.0, 5.0
_READ = "dserver_signed_url_plugin.body_is_read"


class BodyParser(FlaskParser):
    """webargs' parser for Flask, which leaves bodies to the types that schemas name."""

    def parse(self, argmap: Any, *arguments: Any, location: str | None = None, **more: Any) -> Any:
        """Return what the body holds, as its schema's ``body`` decodes it.

        :raises BodyTooLarge: above the schema's limit, or ``SIGNED_URL_MAX_BODY_BYTES``.
        :raises LengthRequired: for a body that came in chunks.
        :raises UnreadableBody: for anything that is not JSON to be worked with.
        :raises InvalidField: with the field that does not fit.
        """
        if location != "json":
            return super().parse(argmap, *arguments, location=location, **more)
        limit = services().settings.max_body_bytes
        return argmap.body.decode(_json(request, min(limit, argmap.longest or limit)))


def close_unless_read(response: Response) -> Response:
    """Pass over a body that was refused unread, or else let the connection end.

    Whoever is still sending when a connection ends may never see the answer. What has not come
    after a few seconds is not waited for. An ``after_request`` function.
    """
    has_body = (request.content_length or 0) > 0 or "Transfer-Encoding" in request.headers
    if has_body and not request.environ.get(_READ) and not _passed_over(request):
        response.headers["Connection"] = "close"
    return response


def _passed_over(request: Request) -> bool:
    """Read what comes of a body, and forget it; tell whether that was all."""
    connection = next(filter(None, map(request.environ.get, _SOCKETS)), None)
    length = request.content_length or 0
    if connection is None or not 0 < length <= services().settings.max_body_bytes:
        return False
    patience, ends = connection.gettimeout(), time.monotonic() + MOST_SECONDS
    connection.settimeout(PATIENCE)
    # A read waits for its whole piece, however slowly that comes: only this ends it.
    end = threading.Timer(MOST_SECONDS, _stop_reading, [connection])
    end.daemon = True
    end.start()
    try:
        while length > 0 and time.monotonic() < ends:
            piece = request.environ["wsgi.input"].read(min(length, _PIECE))
            if not piece:
                break
            length -= len(piece)
    except OSError:
        return False
    finally:
        end.cancel()
        connection.settimeout(patience)
    return length == 0


def _stop_reading(connection: Any) -> None:
    with suppress(OSError):
        # The socket's own method: that of TLS forgets its keys, which the answer needs.
        socket.socket.shutdown(connection, socket.SHUT_RD)


def _json(request: Request, limit: int) -> bytes:
    """Return the body as JSON in UTF-8."""
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        raise LengthRequired
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit)
    request.environ[_READ] = True
    raw = request.get_data(cache=False)
    if not raw:
        return b"{}"
    if not is_json_request(request):
        raise UnreadableBody("send it with the header 'Content-Type: application/json'.")
    return _in_utf8(raw, request.mimetype_params.get("charset"))


def _in_utf8(raw: bytes, charset: str | None) -> bytes:
    name = "utf-8" if charset is None else _codec(charset)
    if name in ("utf-8", "utf-8-sig", "ascii"):
        # JSON begins with a character of ASCII: where one has a NUL, each has two bytes, or four.
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in raw[:4]:
            raise UnreadableBody(f"it is not in UTF-8: name its encoding, {_HOW}.")
        return raw.removeprefix(codecs.BOM_UTF8)
    if name == "utf-16" and raw[:1] == b"\0":
        name = "utf-16-be"
    if name == "utf-32" and raw[:2] == b"\0\0" and not raw.startswith(codecs.BOM_UTF32_BE):
        name = "utf-32-be"
    try:
        text = raw.decode(name)
        del raw
        return text.removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise UnreadableBody(f"it is not in {charset}, which its header names.") from error


def _codec(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        name = ""
    if name not in _CHARSETS:
        raise UnreadableBody(f"send it in UTF-8; {charset[:40]!r} is not read here.")
    return name
