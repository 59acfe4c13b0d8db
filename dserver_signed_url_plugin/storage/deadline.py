"""The deadline until which a call may wait for its store, extended by progress only.

It is kept in a context variable, so that everything that waits for a store finds it, also in the
threads of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic


class Deadline:
    """A deadline a number of seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left: zero or less after the deadline."""
        return self._ends - monotonic()

    def answered(self) -> None:
        """Note that the store has responded."""

    def progress(self) -> None:
        """Extend the deadline to its full length from now, because work was done."""
        self._ends = max(self._ends, monotonic() + self._seconds)

    def allow(self, seconds: float) -> None:
        """Extend the deadline to its full length and ``seconds`` more, for a long operation."""
        self._ends = max(self._ends, monotonic() + self._seconds + seconds)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """Return the deadline of this call, or None."""
    return _current.get()


@contextmanager
def under(deadline: Deadline) -> Iterator[None]:
    """Set the deadline for the ``with`` block."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def left() -> float | None:
    """Return the seconds for which this call may still wait, or None if it has no deadline.

    :raises TimeoutError: if the deadline has passed.
    """
    deadline = _current.get()
    if deadline is None:
        return None
    seconds = deadline.left()
    if seconds <= 0:
        raise TimeoutError("the call's time for its store is over")
    return seconds


def answered() -> None:
    """Note that the store has responded completely to a request."""
    deadline = _current.get()
    if deadline is not None:
        deadline.answered()


def progress() -> None:
    """Extend the deadline of this call, because the store has done part of the work."""
    deadline = _current.get()
    if deadline is not None:
        deadline.progress()


def allow(seconds: float) -> None:
    """Extend the deadline of this call by ``seconds`` for a long operation."""
    deadline = _current.get()
    if deadline is not None:
        deadline.allow(seconds)
