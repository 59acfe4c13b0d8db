"""Reading a JSON body: not too long, in an encoding that is known, and typed as soon as it is read.

Knows what may be wrong with a body before anybody looks at its fields.
"""

from __future__ import annotations

import codecs
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
    """Let the connection end if somebody's body was refused unread: what follows is not a request.

    An ``after_request`` function.
    """
    has_body = (request.content_length or 0) > 0 or "Transfer-Encoding" in request.headers
    if has_body and not request.environ.get(_READ):
        response.headers["Connection"] = "close"
    return response


def _json(request: Request, limit: int) -> bytes:
    """Return the body as JSON in UTF-8."""
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        raise LengthRequired("Send the body with a Content-Length, not in chunks.")
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(f"The body is larger than the {limit} bytes that this server reads.")
    request.environ[_READ] = True
    raw = request.get_data(cache=False)
    if not raw:
        return b"{}"
    if not is_json_request(request):
        raise UnreadableBody("Send JSON, with the header 'Content-Type: application/json'.")
    return _in_utf8(raw, request.mimetype_params.get("charset"))


def _in_utf8(raw: bytes, charset: str | None) -> bytes:
    name = "utf-8" if charset is None else _codec(charset)
    if name in ("utf-8", "utf-8-sig", "ascii"):
        # JSON begins with a character of ASCII: where one has a NUL, each has two bytes, or four.
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in raw[:4]:
            raise UnreadableBody(f"The body is not JSON in UTF-8: name its encoding, {_HOW}.")
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
        raise UnreadableBody(
            f"The body is not JSON in {charset}, which its header names."
        ) from error


def _codec(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        name = ""
    if name not in _CHARSETS:
        raise UnreadableBody(f"Send JSON in UTF-8; {charset[:40]!r} is not read here.")
    return name
