"""What this process knows of a store: whether it answers, who waits for it, who may ask next.

A store that is away must not hold the threads of its callers: as long as it has not answered, few
calls wait for it, and once it is known to be away, one at a time tries whether it is back. All of
it is a cache: another process learns the same by itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from functools import partial, wraps
from math import ceil
from time import monotonic
from typing import Any, TypeVar

from dserver_signed_url_plugin.errors import SignedURLError, StorageAway
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline

logger = logging.getLogger(__name__)

# So many calls wait for a store that has not answered; others wait for its first answer, for a
# tenth of the time that a call has, but for so many seconds at least.
_FEW = 2
_FIRST_ANSWER = 1.0
# So many calls in a row that failed quickly mean that the store is away.
_MANY_FAILURES = 5
# What asks nothing of a store.
_UNGUARDED = frozenset({"life"})

Guarded = TypeVar("Guarded")
Result = TypeVar("Result")


class Visit(Deadline):
    """One call's stay at a store, under the deadline of the call.

    It ends sooner where others have waited longer and the store is silent to all of them.
    """

    def __init__(self, store: CircuitBreaker, call: Deadline) -> None:
        self.store, self._call = store, call
        self.started = monotonic()
        self.asked_at: float | None = None
        # Whether it waits for an answer, and for one that is known to take long.
        self.is_asking = self.is_long = False

    def left(self) -> float:
        """Return the seconds for which it may still wait."""
        if self.asked_at is None:
            self.asked_at = monotonic()
        self.is_asking = True
        seconds = self._call.left()
        return seconds if self.is_long else min(seconds, self.store.patience_left(self))

    def heard(self) -> None:
        """Tell the store that it answers, unless it was not asked.

        Of one that is away any success is news: it may have answered to what asks by itself.
        """
        if self.asked_at is not None or self.store.is_away:
            self.is_asking = False
            self.store.heard(self)

    def progress(self) -> None:
        """Note that the store does its work."""
        self.heard()
        self._call.progress()

    def allow(self, seconds: float) -> None:
        """Let the store be silent for longer."""
        self.is_long = self.is_long or seconds > 1
        self._call.allow(seconds)


class CircuitBreaker:
    """One store, such as a bucket; safe to share between threads.

    :param seconds: how long a call may wait for it.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._name, self._seconds = name, seconds
        self._changed = threading.Condition(threading.RLock())
        self._visits: list[Visit] = []
        self._heard_at: float | None = None
        self._slowest = 0.0
        self._failures = 0
        self._pauses = 0
        self._closed_until = 0.0

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Do what the block does with the store, if it is worth while; inside a visit, at once.

        :raises StorageAway: if the store is away, or others wait for it already.
        """
        outer = deadline.current()
        if isinstance(outer, Visit) and outer.store is self:
            yield
            return
        visit = self._admit(outer or Deadline(self._seconds))
        try:
            with deadline.under(visit):
                yield
        except StorageAway:
            self._failed(visit)
            raise
        except SignedURLError:
            visit.heard()
            raise
        else:
            visit.heard()
        finally:
            with self._changed:
                self._visits.remove(visit)
                self._changed.notify_all()

    def heard(self, visit: Visit) -> None:
        """Note that the store has just answered to a visit."""
        with self._changed:
            now = monotonic()
            waited = now - max(visit.asked_at or now, self._heard_at or 0)
            self._slowest = max(waited, 0.9 * self._slowest)
            self._heard_at = now
            self._failures = self._pauses = 0
            self._changed.notify_all()

    def patience_left(self, visit: Visit) -> float:
        """Return for how long a visit may wait for a store that says nothing to anybody."""
        with self._changed:
            if visit in self._visits[:_FEW]:
                return self._seconds
            return max(visit.started, self._heard_at or 0) + self._patience - monotonic()

    # Who may ask ---------------------------------------------------------------------------

    def _admit(self, call: Deadline) -> Visit:
        with self._changed:
            if self.is_away:
                self._refuse_for(self._closed_until - monotonic())
            while not self._has_room:
                self._wait_for_an_answer()
            visit = Visit(self, call)
            self._visits.append(visit)
            return visit

    @property
    def is_away(self) -> bool:
        return self._failures >= _MANY_FAILURES

    @property
    def _has_room(self) -> bool:
        short = sum(not visit.is_long for visit in self._visits)
        return short < _FEW or (self._heard_at is not None and not self._is_silent)

    @property
    def _is_silent(self) -> bool:
        """Tell whether the store has let everybody wait who asks now, and for long."""
        return self._waited > self._patience

    @property
    def _waited(self) -> float:
        waiting = (visit for visit in self._visits if visit.is_asking and not visit.is_long)
        asked = [visit.asked_at for visit in waiting if visit.asked_at is not None]
        if not asked:
            return 0.0
        return monotonic() - max(min(asked), self._heard_at or 0)

    @property
    def _patience(self) -> float:
        return min(max(4 * self._slowest, self._seconds / 10), self._seconds / 3)

    def _wait_for_an_answer(self) -> None:
        waited = self._waited
        most = max(_FIRST_ANSWER, self._seconds / 10)
        if self._heard_at is not None or waited >= most:
            raise self._refusal(1)
        self._changed.wait(most - waited)
        if self.is_away:
            self._refuse_for(self._closed_until - monotonic())

    def _refuse_for(self, seconds: float) -> None:
        """Let one at a time try whether a store is back that was away, after a pause."""
        if seconds > 0 or self._visits:
            raise self._refusal(max(seconds, 1))

    def _refusal(self, seconds: float) -> StorageAway:
        return StorageAway(
            f"The store of {self._name}", "does not answer at the moment", ceil(seconds)
        )

    # What came of it -----------------------------------------------------------------------

    def _failed(self, visit: Visit) -> None:
        with self._changed:
            now = monotonic()
            waited = now - max(visit.asked_at or now, self._heard_at or 0)
            if visit not in self._visits[:_FEW]:
                # It gave way to those that go on waiting, who will know.
                return
            is_silent = visit.left() <= 0 and waited >= self._patience
            self._failures = _MANY_FAILURES if is_silent else self._failures + 1
            if self.is_away:
                pause = min(self._seconds / 6 * 2**self._pauses, self._seconds)
                self._closed_until, self._heard_at = now + pause, None
                self._pauses = min(self._pauses + 1, 10)
                logger.warning("The store of %s is away: %.0f s until next try", self._name, pause)


def guarded(kept: Guarded, store: CircuitBreaker) -> Guarded:
    """Let everything that an object asks of its store be a visit; return the object.

    What says ``may_hang`` of itself is left waiting, alone, when the call's time is over.
    """
    run = in_thread if getattr(kept, "may_hang", False) else _here
    return _within(kept, store.visit, run)


def limited(kept: Guarded, seconds: float) -> Guarded:
    """Let an object wait so long for its store each time that it is asked; return the object."""
    return _within(kept, lambda: deadline.under(Deadline(seconds)), _here)


def _within(
    kept: Guarded, block: Callable[[], AbstractContextManager[None]], run: Callable[..., Any]
) -> Guarded:
    for name in dir(type(kept)):
        # Of the class, because asking the object for a property may ask the store.
        is_method = callable(getattr(type(kept), name))
        if is_method and not name.startswith("_") and name not in _UNGUARDED:
            setattr(kept, name, _wrapped(getattr(kept, name), block, run))
    return kept


def in_thread(work: Callable[[], Result]) -> Result:
    """Do what may hang in a thread of its own; wait for it only as long as the call may.

    :raises StorageAway: if that is over; the work goes on until it ends by itself.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 (it is raised by whoever waits)
            done.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
    while not done.done():
        try:
            wait([done], deadline.left())
        except TimeoutError as over:
            raise StorageAway("The store", "does not answer") from over
    return done.result()


def _here(work: Callable[[], Result]) -> Result:
    return work()


def _wrapped(
    method: Callable[..., Any],
    block: Callable[[], AbstractContextManager[None]],
    run: Callable[..., Any],
) -> Callable[..., Any]:
    @wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with block():
            return run(partial(method, *args, **kwargs))

    return wrapped
