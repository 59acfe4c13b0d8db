"""Runs an operation of a store for many objects in parallel, as many at a time as it takes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from time import monotonic
from typing import Any, Generic, TypeVar

from dserver_signed_url_plugin.errors import StorageAway
from dserver_signed_url_plugin.storage import deadline

PARALLEL = 16
# The most calls at a time where their number adapts.
MAX_PARALLEL = 64
# The maximum pause before each retry, in seconds.
_PAUSES = (0.2, 0.5, 1.0)
# How much faster twice as many calls at a time have to be.
_FASTER = 1.1
# For how long after an overload further failures are taken for the same one, in seconds.
_SAME_OVERLOAD = 1.0

T = TypeVar("T")
R = TypeVar("R")


class Pace:
    """How many calls run at a time; safe to share between threads.

    Twice as many while that is faster; half as many when the store is overloaded, and then one more
    at a time. The rate is measured over four times as many calls as run at a time.

    :param most: the most calls at a time; ``first`` if their number is not to adapt.
    :param clock: the time in seconds, from any start.
    """

    def __init__(
        self,
        first: int = PARALLEL,
        most: int = MAX_PARALLEL,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.limit, self._most, self._clock = first, most, clock
        self._lock = threading.Lock()
        self._slower, self._rate = first, 0.0
        self._growth = self._doubled
        self._calls, self._since = 0, clock()
        self._overloaded_at: float | None = None

    def done(self) -> None:
        """Note that a call has succeeded."""
        with self._lock:
            self._calls += 1
            if self._calls >= 4 * self.limit:
                now = self._clock()
                rate = self._calls / max(now - self._since, 1e-6)
                self.limit = min(self._growth(rate), self._most)
                self._calls, self._since = 0, now

    def slow_down(self) -> None:
        """Note that the store is overloaded."""
        with self._lock:
            now, before = self._clock(), self._overloaded_at
            if before is None or now - before > _SAME_OVERLOAD:
                self._overloaded_at = now
                self.limit, self._growth = max(1, self.limit // 2), self._one_more
                self._calls, self._since = 0, now

    def _doubled(self, rate: float) -> int:
        if rate > _FASTER * self._rate:
            self._slower, self._rate = self.limit, rate
            return 2 * self.limit
        self._growth = self._unchanged
        return self._slower

    def _one_more(self, rate: float) -> int:
        return self.limit + 1

    def _unchanged(self, rate: float) -> int:
        return self.limit


def each_within(seconds: float, work: Callable[[T], bool], things: Sequence[T]) -> list[T]:
    """Call ``work`` for each thing in parallel, and return the things for which it was True.

    :param seconds: after which it is called for no other thing.
    """
    ends = monotonic() + seconds
    done = each(lambda thing: monotonic() < ends and work(thing), things)
    return [thing for thing, is_done in zip(things, done, strict=True) if is_done]


def each(work: Callable[[T], R], things: Sequence[T], pace: Pace | None = None) -> list[R]:
    """Call ``work`` for each thing in parallel, and return the results; stop at the first error.

    Calls that fail with StorageAway are retried, as long as most of the batch succeeds and the
    deadline allows, so ``work`` must be idempotent.

    :param pace: how many at a time, of which each thread may have state; 16 by default.
    """
    return _Batch(work, things, pace or Pace(PARALLEL, PARALLEL)).run()


class _Batch(Generic[T, R]):
    """A batch: its threads, its results, and the numbers of successes and failures."""

    def __init__(self, work: Callable[[T], R], things: Sequence[T], pace: Pace) -> None:
        self._work, self._things, self._pace = work, things, pace
        self._lock = threading.Lock()
        self._next = self._workers = 0
        self._threads: list[threading.Thread] = []
        self._results: list[Any] = [None] * len(things)
        self._error: BaseException | None = None
        self._successes = self._failures = 0
        self._is_over = threading.Event()

    def run(self) -> list[R]:
        try:
            self._add_threads()
            self._join()
        finally:
            self._is_over.set()
            self._join()
        if self._error is not None:
            raise self._error
        return self._results

    def _add_threads(self) -> None:
        """Start as many threads as the pace allows and things are left for."""
        with self._lock:
            while self._workers < min(self._pace.limit, len(self._things) - self._next):
                # Each in a copy of the context, so that all observe the deadline of the call.
                run = copy_context().run
                self._threads.append(threading.Thread(target=run, args=(self._work_on,)))
                self._workers += 1
                self._threads[-1].start()

    def _join(self) -> None:
        # A thread that is running may add others at the end.
        for thread in self._threads:
            thread.join()

    def _work_on(self) -> None:
        """Do one thing after the other, until none is left or fewer threads are to run."""
        try:
            while (number := self._take()) is not None:
                self._results[number] = self._do(self._things[number])
                self._pace.done()
                if self._workers < self._pace.limit:
                    self._add_threads()
        except BaseException as error:  # noqa: BLE001 (it is raised in the waiting thread)
            self._error = self._error or error
            self._is_over.set()

    def _take(self) -> int | None:
        with self._lock:
            is_left = self._next < len(self._things) and not self._is_over.is_set()
            if not is_left or self._workers > self._pace.limit:
                self._workers -= 1
                return None
            self._next += 1
            return self._next - 1

    def _do(self, thing: T) -> R:
        for pause in _PAUSES:
            try:
                return self._done(self._work(thing))
            except StorageAway:
                if not self._is_worth_repeating(pause):
                    raise
        return self._done(self._work(thing))

    def _done(self, result: R) -> R:
        with self._lock:
            self._successes += 1
        return result

    def _is_worth_repeating(self, pause: float) -> bool:
        """Pause and return True, unless most calls fail, or there is no time, or the batch ends."""
        with self._lock:
            self._failures += 1
            if self._failures > max(1, self._successes):
                return False
        self._pace.slow_down()
        seconds = random.uniform(pause / 2, pause)  # noqa: S311 (not used for cryptography)
        call = deadline.current()
        return (call is None or call.left() > seconds) and not self._is_over.wait(seconds)
