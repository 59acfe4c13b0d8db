"""Reading a JSON body: not too long, really JSON, and text that can be stored.

Knows what may be wrong with a body before anybody looks at its fields.
"""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Request
from webargs import missing
from webargs.flaskparser import FlaskParser, is_json_request

from dserver_signed_url_plugin.errors import BodyTooLarge, LengthRequired, UnreadableBody
from dserver_signed_url_plugin.services import services

# How JSON spells what no database and no UTF-8 can hold: NUL, and halves of surrogate pairs.
_SUSPICIOUS = re.compile(r"\\u(0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BodyParser(FlaskParser):
    """webargs' parser for Flask, with a limit and with sentences."""

    def load_json(self, req: Request, schema: Any) -> Any:
        """Return the body as Python values, or ``missing`` if there is none.

        :raises BodyTooLarge: above ``SIGNED_URL_MAX_BODY_BYTES``.
        :raises LengthRequired: for a body that came in chunks.
        :raises UnreadableBody: for anything that is not JSON to be worked with.
        """
        limit = services().settings.max_body_bytes
        if req.content_length is None and "Transfer-Encoding" in req.headers:
            raise LengthRequired("Send the body with a Content-Length, not in chunks.")
        if (req.content_length or 0) > limit:
            raise BodyTooLarge(f"The body is larger than the {limit} bytes that this server reads.")
        raw = req.get_data(cache=False)
        if not raw:
            return missing
        if not is_json_request(req):
            raise UnreadableBody("Send JSON, with the header 'Content-Type: application/json'.")
        return _parsed(raw)


def _parsed(raw: bytes) -> Any:
    try:
        # Decoded here, because json takes UTF-16 too, and lets halves of surrogate pairs pass.
        text = raw.decode("utf-8-sig")
        body = json.loads(text)
        if _SUSPICIOUS.search(text) and _has_unstorable_text(body):
            raise UnreadableBody("The body has text with a NUL or half of a surrogate pair.")
    # ValueError is bad JSON, bad UTF-8, and integers of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise UnreadableBody("The body is not JSON, or is nested too deeply.") from error
    return body


def _has_unstorable_text(value: Any) -> bool:
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_unstorable_text(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_has_unstorable_text(part) for part in value)
