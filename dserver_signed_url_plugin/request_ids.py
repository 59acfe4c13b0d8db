"""Which request a line of the log belongs to; none in a command."""

from __future__ import annotations

from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("dserver_signed_url_plugin.request", default="")


def begin(request_id: str, action: str) -> None:
    """Let what this thread logs from now on belong to a request."""
    _current.set(f" (request {request_id}, {action})")


def end() -> None:
    """Let it belong to none again."""
    _current.set("")


def suffix() -> str:
    """Return what a line of the log ends in: the request's ID and action, or nothing."""
    return _current.get()
