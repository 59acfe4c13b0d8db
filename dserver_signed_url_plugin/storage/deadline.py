"""Until when a call may wait for its store: a deadline that only work which was done puts off.

The deadline of a call is found again wherever something waits for a store, also in the threads of
a batch. Knows clocks; knows no store and no socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic


class Deadline:
    """A moment so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; none or fewer when it is over."""
        return self._ends - monotonic()

    def heard(self) -> None:
        """Take note that the store has answered."""

    def progress(self) -> None:
        """Begin anew, because work was done."""
        self._ends = max(self._ends, monotonic() + self._seconds)

    def allow(self, seconds: float) -> None:
        """Leave so many seconds more than ever for what is known to take long."""
        self._ends = max(self._ends, monotonic() + self._seconds + seconds)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """Return the deadline that this call is under, or None."""
    return _current.get()


@contextmanager
def under(deadline: Deadline) -> Iterator[None]:
    """Put what the block does under a deadline."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def left() -> float | None:
    """Return the seconds for which this call may still wait; None where nothing bounds it.

    :raises TimeoutError: if there are none.
    """
    deadline = _current.get()
    if deadline is None:
        return None
    seconds = deadline.left()
    if seconds <= 0:
        raise TimeoutError("the call's time for its store is over")
    return seconds


def heard() -> None:
    """Take note that the store has answered to one request, all of it."""
    deadline = _current.get()
    if deadline is not None:
        deadline.heard()


def progress() -> None:
    """Put the call's deadline off: the store has done a part of much work."""
    deadline = _current.get()
    if deadline is not None:
        deadline.progress()


def allow(seconds: float) -> None:
    """Let the call wait so many seconds longer for one thing that is known to take long."""
    deadline = _current.get()
    if deadline is not None:
        deadline.allow(seconds)
