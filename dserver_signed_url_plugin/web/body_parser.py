"""Reads a JSON body of limited length, in a known encoding, and has it decoded.

Refuses what is wrong with a body as a whole; ``announcement`` checks its fields.
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

# Python's names of codecs whose time and memory are proportional to the length of the body.
_CHARSETS = {"utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252"} | {
    f"utf-{bits}{order}" for bits in (16, 32) for order in ("", "-le", "-be")
}
_HOW = "as in 'Content-Type: application/json; charset=utf-16'"
# Keys under which gunicorn and Werkzeug put a request's connection into the WSGI environment.
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_CHUNK_BYTES = 64 * 1024
# Seconds that reading a refused body may take: per chunk, and in all.
CHUNK_TIMEOUT, TOTAL_TIMEOUT = 1.0, 5.0
_READ = "dserver_signed_url_plugin.body_is_read"


class BodyParser(FlaskParser):
    """webargs' parser for Flask, except that ``body`` of a schema decodes a JSON body."""

    def parse(self, argmap: Any, *arguments: Any, location: str | None = None, **more: Any) -> Any:
        """Return the decoded body, or the query parameters.

        :raises BodyTooLarge: above the schema's limit, or ``SIGNED_URL_MAX_BODY_BYTES``.
        :raises LengthRequired: for a body that came in chunks.
        :raises UnreadableBody: for anything but JSON in a known encoding.
        :raises InvalidField: for a value that does not fit.
        """
        if location != "json":
            return super().parse(argmap, *arguments, location=location, **more)
        limit = services().settings.max_body_bytes
        return argmap.body.decode(_json(request, min(limit, argmap.longest or limit)))


def close_unless_read(response: Response) -> Response:
    """Discard a body that was refused unread, or close the connection.

    A client that is still sending when its connection is closed may never see the answer. The rest
    of the body is read for a few seconds only. An ``after_request`` function.
    """
    has_body = (request.content_length or 0) > 0 or "Transfer-Encoding" in request.headers
    if has_body and not request.environ.get(_READ) and not _discarded(request):
        response.headers["Connection"] = "close"
    return response


def _discarded(request: Request) -> bool:
    """Read and discard a body; return whether its end was reached in time."""
    connection = next(filter(None, map(request.environ.get, _SOCKETS)), None)
    length = request.content_length or 0
    if connection is None or not 0 < length <= services().settings.max_body_bytes:
        return False
    timeout, deadline = connection.gettimeout(), time.monotonic() + TOTAL_TIMEOUT
    connection.settimeout(CHUNK_TIMEOUT)
    # A read waits for its whole chunk, however slowly that arrives: only this ends it.
    timer = threading.Timer(TOTAL_TIMEOUT, _stop_reading, [connection])
    timer.daemon = True
    timer.start()
    try:
        while length > 0 and time.monotonic() < deadline:
            chunk = request.environ["wsgi.input"].read(min(length, _CHUNK_BYTES))
            if not chunk:
                break
            length -= len(chunk)
    except OSError:
        return False
    finally:
        timer.cancel()
        connection.settimeout(timeout)
    return length == 0


def _stop_reading(connection: Any) -> None:
    with suppress(OSError):
        # Not the method of a TLS socket, which drops the keys that the answer needs.
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
        # JSON begins with ASCII: a NUL among its first bytes means two or four bytes per character.
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
