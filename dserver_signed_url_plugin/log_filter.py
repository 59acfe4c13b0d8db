"""Hides the tokens of shares in what web servers and Flask log of a request, whose path holds one.

The loggers of this plugin never name them.
"""

from __future__ import annotations

import logging
import re
from copy import copy
from typing import Any

# Of Flask's development server, of servers that Flask's documentation names, and of Flask-CORS,
# which dserver uses: each by its own name, because a filter does not apply to the loggers below. A
# server that logs without Python's logging has to be configured.
_LOGGERS = ("werkzeug", "gunicorn.access", "gunicorn.error", "waitress", "flask_cors.extension")
_SLASH = r"(?:/|%2f)+"
_TOKEN = re.compile(
    rf"(signed-urls{_SLASH}s{_SLASH})[^\s/?#&\"'\\]+|\b[a-z2-7]{{32}}\b", re.IGNORECASE
)


def install(app_name: str) -> None:
    """Filter the loggers that name the paths of requests, and that of the app of this name."""
    for name in (app_name, *_LOGGERS):
        logging.getLogger(name).addFilter(_hide_tokens)


def without_tokens(text: str) -> str:
    """Replace the tokens of shares in a text."""
    return _TOKEN.sub(lambda found: f"{found[1] or ''}…", text)


def _hide_tokens(record: logging.LogRecord) -> bool:
    """Change a record, which is logged in any case."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 (whatever the arguments raise, handlers report it themselves)
        return True
    if without_tokens(message) == message:
        return True
    if isinstance(record.args, dict):
        # gunicorn's parts of a line, which a formatter may need.
        record.args = _without_tokens_in_values(record.args)
        message = record.getMessage()
    if without_tokens(message) != message:
        record.msg, record.args = without_tokens(message), None
    return True


def _without_tokens_in_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the same class, because gunicorn's has a value for each name."""
    changed = copy(values)
    for name, value in values.items():
        changed[name] = without_tokens(value) if isinstance(value, str) else value
    return changed
