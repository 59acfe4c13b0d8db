"""Circuit breaker: stops calls to a store that does not answer, so that it holds few threads.

Until a store has answered, few calls may wait for it. After repeated failures the breaker opens and
refuses calls for a while; then one call at a time tries the store again. The state belongs to the
process: another one finds out by itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from math import ceil
from time import monotonic
from typing import Any, Protocol, TypeVar

from dserver_signed_url_plugin import request_ids
from dserver_signed_url_plugin.errors import SignedURLError, StorageAway
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.waiting import in_thread

logger = logging.getLogger(__name__)

# How many calls may wait for a store that has not answered. The others wait until it has, for a
# tenth of the time of a call, but for at least so many seconds.
_MAX_WAITING = 2
_FIRST_ANSWER = 1.0
# After how many failures in a row the breaker opens.
_MANY_FAILURES = 5
_SERVER_ERROR = 500
# Methods that send a request at times only, such as for a new key. The success of one that did not
# wait says nothing about the store.
_SELDOM_SENDING = frozenset({"life"})

Instance = TypeVar("Instance")
Result = TypeVar("Result")
Clock = Callable[[], float]


class Observe(Protocol):
    """What is called after each call; ``Observer.store_called`` says what the parameters mean."""

    def __call__(self, result: str, seconds: float, *, is_open: bool) -> None: ...


def _unobserved(*_: object, **__: object) -> None:
    """Ignore a call."""


class Call(Deadline):
    """One call to a store, and its deadline.

    It ends before the outer deadline if the store is silent and other calls have waited longer.
    """

    def __init__(self, breaker: CircuitBreaker, outer: Deadline, *, sends: bool) -> None:
        self.breaker, self._outer, self._sends = breaker, outer, sends
        self.started = breaker.clock()
        self.waiting_since: float | None = None
        # Whether it waits for an answer, and whether that is known to take long.
        self.is_waiting = self.is_long = False

    def left(self) -> float:
        """Return the seconds for which the call may still wait."""
        if self.waiting_since is None:
            self.waiting_since = self.breaker.clock()
        self.is_waiting = True
        seconds = self._outer.left()
        return seconds if self.is_long else min(seconds, self.breaker.time_left(self))

    def answered(self) -> None:
        """Record that the store has answered, if the call has waited for it.

        If the breaker is open, any success of a call that sends requests counts: code that has its
        own connections may have reached the store.
        """
        if self.waiting_since is not None or (self._sends and self.breaker.is_open):
            self.is_waiting = False
            self.breaker.answered(self)

    def progress(self) -> None:
        """Record that the store has done a part of the work."""
        self.answered()
        self._outer.progress()

    def allow(self, seconds: float) -> None:
        """Allow the store to be silent for so many seconds more."""
        self.is_long = self.is_long or seconds > 1
        self._outer.allow(seconds)


class CircuitBreaker:
    """The circuit breaker of one store, such as a bucket; safe to share between threads.

    :param seconds: how long a call may wait for the store.
    :param clock: the time in seconds, from any start.
    """

    def __init__(
        self, name: str, seconds: float, observe: Observe = _unobserved, clock: Clock = monotonic
    ) -> None:
        self._name, self._seconds, self._observe, self.clock = name, seconds, observe, clock
        self._changed = threading.Condition(threading.RLock())
        self._calls: list[Call] = []
        self._answered_at: float | None = None
        self._slowest = 0.0
        self._failures = 0
        self._openings = 0
        self._open_until = 0.0

    @contextmanager
    def call(self, *, sends: bool = True) -> Iterator[None]:
        """Run the block as one call to the store; within another call to it, as a part of that.

        :param sends: whether it always sends a request.
        :raises StorageAway: if the breaker is open, or too many calls wait for the store.
        """
        outer = deadline.current()
        if isinstance(outer, Call) and outer.breaker is self:
            yield
            return
        began, result = self.clock(), "refused"
        is_observed = True
        try:
            call = self._admit(outer or Deadline(self._seconds), sends=sends)
            result = "failed"
            with self._running(call):
                yield
            result, is_observed = "ok", sends or call.waiting_since is not None
        except SignedURLError as error:
            # That an object is not there, for example, is an answer.
            result = "ok" if error.status < _SERVER_ERROR else result
            raise
        finally:
            if is_observed:
                self._observe(result, self.clock() - began, is_open=self.is_open)

    @contextmanager
    def _running(self, call: Call) -> Iterator[None]:
        try:
            with deadline.under(call):
                yield
        except StorageAway:
            self._failed(call)
            raise
        except SignedURLError:
            call.answered()
            raise
        else:
            call.answered()
        finally:
            with self._changed:
                self._calls.remove(call)
                self._changed.notify_all()

    def answered(self, call: Call) -> None:
        """Record that the store has answered a call, and close the breaker."""
        with self._changed:
            now = self.clock()
            waited = now - max(call.waiting_since or now, self._answered_at or 0)
            self._slowest = max(waited, 0.9 * self._slowest)
            self._answered_at = now
            self._failures = self._openings = 0
            self._changed.notify_all()

    def time_left(self, call: Call) -> float:
        """Return for how many seconds a call may wait if the store answers none."""
        with self._changed:
            if call in self._calls[:_MAX_WAITING]:
                return self._seconds
            return max(call.started, self._answered_at or 0) + self._silence_limit - self.clock()

    # Admission -----------------------------------------------------------------------------

    def _admit(self, outer: Deadline, *, sends: bool) -> Call:
        with self._changed:
            if self.is_open:
                self._refuse_for(self._open_until - self.clock())
            while not self._may_call:
                self._wait_for_first_answer()
            call = Call(self, outer, sends=sends)
            self._calls.append(call)
            return call

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self._failures >= _MANY_FAILURES

    @property
    def _may_call(self) -> bool:
        short = sum(not call.is_long for call in self._calls)
        return short < _MAX_WAITING or (self._answered_at is not None and not self._is_silent)

    @property
    def _is_silent(self) -> bool:
        """Whether none of the waiting calls has had an answer for too long."""
        return self._waited > self._silence_limit

    @property
    def _waited(self) -> float:
        waiting = (call for call in self._calls if call.is_waiting and not call.is_long)
        since = [call.waiting_since for call in waiting if call.waiting_since is not None]
        if not since:
            return 0.0
        return self.clock() - max(min(since), self._answered_at or 0)

    @property
    def _silence_limit(self) -> float:
        return min(max(4 * self._slowest, self._seconds / 10), self._seconds / 3)

    def _wait_for_first_answer(self) -> None:
        waited = self._waited
        most = max(_FIRST_ANSWER, self._seconds / 10)
        if self._answered_at is not None or waited >= most:
            raise self._refusal(1)
        self._changed.wait(most - waited)
        if self.is_open:
            self._refuse_for(self._open_until - self.clock())

    def _refuse_for(self, seconds: float) -> None:
        """Refuse a call while the breaker is open; after that, all but one at a time."""
        if seconds > 0 or self._calls:
            raise self._refusal(max(seconds, 1))

    def _refusal(self, seconds: float) -> StorageAway:
        return StorageAway(
            f"The store of {self._name}", "does not answer at the moment", ceil(seconds)
        )

    # Failures ------------------------------------------------------------------------------

    def _failed(self, call: Call) -> None:
        with self._changed:
            now = self.clock()
            waited = now - max(call.waiting_since or now, self._answered_at or 0)
            if call not in self._calls[:_MAX_WAITING]:
                # It gave up early; the calls that go on waiting will decide.
                return
            is_silent = call.left() <= 0 and waited >= self._silence_limit
            self._failures = _MANY_FAILURES if is_silent else self._failures + 1
            if self.is_open:
                pause = min(self._seconds / 6 * 2**self._openings, self._seconds)
                self._open_until, self._answered_at = now + pause, None
                self._openings = min(self._openings + 1, 10)
                logger.warning(
                    "The store of %s is away: %.0f s until next try%s",
                    self._name,
                    pause,
                    request_ids.suffix(),
                )


def guarded(instance: Instance, breaker: CircuitBreaker) -> Instance:
    """Run every method of an object as a call to its store; return the object.

    If its class has ``may_hang``, each runs in a thread, which is abandoned at the deadline.
    """
    run = in_thread if getattr(instance, "may_hang", False) else _directly
    return _within(instance, lambda name: breaker.call(sends=name not in _SELDOM_SENDING), run)


def limited(instance: Instance, seconds: float) -> Instance:
    """Limit to so many seconds how long each method of an object waits; return the object."""
    return _within(instance, lambda _: deadline.under(Deadline(seconds)), _directly)


def _within(
    instance: Instance,
    block: Callable[[str], AbstractContextManager[None]],
    run: Callable[..., Any],
) -> Instance:
    for name in dir(type(instance)):
        # Of the class: on the object, a property might send a request.
        is_method = callable(getattr(type(instance), name))
        if is_method and not name.startswith("_"):
            wrapped = _wrapped(getattr(instance, name), partial(block, name), run)
            setattr(instance, name, wrapped)
    return instance


def _directly(work: Callable[[], Result]) -> Result:
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
