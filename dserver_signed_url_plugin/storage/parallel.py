"""Runs an operation of a store for many objects in parallel."""

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
# The maximum pause before each retry, in seconds.
_PAUSES = (0.2, 0.5, 1.0)

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Call ``work`` for each thing, 16 at a time, and return the results; stop at the first error.

    Calls that fail with StorageAway are retried, as long as most of the batch succeeds and the
    deadline allows, so ``work`` must be idempotent.
    """
    batch = _Batch(work)
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        # Each in a copy of the context, so that all observe the deadline of the call.
        doing = [pool.submit(copy_context().run, batch.do, thing) for thing in things]
        done, _ = wait(doing, return_when=FIRST_EXCEPTION)
        for one in done:
            one.result()
        return [one.result() for one in doing]
    finally:
        batch.is_over.set()
        pool.shutdown(cancel_futures=True)


class _Batch(Generic[T, R]):
    """A batch, with the numbers of successes and failures."""

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
        """Pause and return True, unless most calls fail, or there is no time, or the batch ends."""
        with self._lock:
            self._failures += 1
            if self._failures > max(1, self._successes):
                return False
        seconds = random.uniform(pause / 2, pause)  # noqa: S311 (not used for cryptography)
        call = deadline.current()
        return (call is None or call.left() > seconds) and not self.is_over.wait(seconds)
