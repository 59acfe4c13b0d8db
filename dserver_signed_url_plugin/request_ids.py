"""The current request's ID and action, for log messages of modules that do not know of HTTP."""

from __future__ import annotations

from contextvars import ContextVar

_id: ContextVar[str | None] = ContextVar("dserver_signed_url_plugin.request_id", default=None)
_action: ContextVar[str] = ContextVar("dserver_signed_url_plugin.action", default="")


def begin(request_id: str, action: str) -> None:
    """Set the request that this thread handles."""
    _id.set(request_id)
    _action.set(action)


def end() -> None:
    """Forget the request."""
    _id.set(None)


def suffix() -> str:
    """Return the end of a log message: request ID and action, or nothing outside a request."""
    return "" if current() is None else f" (request {current()}, {_action.get()})"


def current() -> str | None:
    """Return the ID of the current request, or None outside a request."""
    return _id.get()
