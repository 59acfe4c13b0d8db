"""The current request's ID and action, for log messages of modules that do not know of HTTP."""

from __future__ import annotations

from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("dserver_signed_url_plugin.request", default="")


def begin(request_id: str, action: str) -> None:
    """Set the request that this thread handles."""
    _current.set(f" (request {request_id}, {action})")


def end() -> None:
    """Forget the request."""
    _current.set("")


def suffix() -> str:
    """Return the end of a log message: request ID and action, or nothing outside a request."""
    return _current.get()
