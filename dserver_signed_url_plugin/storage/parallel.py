"""The same for many things at once, as storages ask their stores."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Generic, TypeVar

from dserver_signed_url_plugin.errors import StorageAway
from dserver_signed_url_plugin.storage import deadline

PARALLEL = 16
# The most seconds before each repetition of one thing.
_PAUSES = (0.2, 0.5, 1.0)

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Do the same for many things, 16 at a time; the first error ends it.

    What fails because the store is away for a moment is repeated, as long as most of the batch
    succeeds and the call has time. What is done must therefore be repeatable.
    """
    batch = _Batch(work)
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        # Each in a context of its own, so that all are under the deadline of the call.
        doing = [pool.submit(copy_context().run, batch.do, thing) for thing in things]
        done, _ = wait(doing, return_when=FIRST_EXCEPTION)
        for one in done:
            one.result()
        return [one.result() for one in doing]
    finally:
        batch.is_over.set()
        pool.shutdown(cancel_futures=True)


class _Batch(Generic[T, R]):
    """One batch, which counts what succeeds and what fails."""

    def __init__(self, work: Callable[[T], R]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._successes = self._failures = 0
        self.is_over = threading.Event()

    def do(self, thing: T) -> R:
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
        """Wait a moment, and return True, unless the store is away for more than single things."""
        with self._lock:
            self._failures += 1
            if self._failures > max(1, self._successes):
                return False
        seconds = random.uniform(pause / 2, pause)  # noqa: S311 (nothing is secret here)
        call = deadline.current()
        return (call is None or call.left() > seconds) and not self.is_over.wait(seconds)
