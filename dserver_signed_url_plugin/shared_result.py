"""The result of a function that may hang, shared by the threads that want it at the same time.

However many requests want it, it costs one thread and one connection, and none waits for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import copy_context
from time import monotonic
from typing import Generic, TypeVar

# The name of the threads.
THREAD = "shared-result"

Result = TypeVar("Result")


class SharedResult(Generic[Result]):
    """The result of a function; safe to share between threads.

    :param timeout: for how many seconds after its beginning a call is waited for.
    :param max_age: for how many seconds after its beginning a result is returned again. An
        exception is not.
    """

    def __init__(self, *, timeout: float, max_age: float) -> None:
        self._timeout, self._max_age = timeout, max_age
        self._lock = threading.Lock()
        self._began = 0.0
        self._latest: Future[Result] | None = None

    def of(self, function: Callable[[], Result]) -> Result:
        """Return the result of a recent call, of the one that is running, or of a new one.

        :raises TimeoutError: if there is none in time, or no thread could be started. The call goes
            on, and until it has ended there is no other.
        """
        with self._lock:
            latest = self._latest
            if latest is None or self._is_outdated(latest):
                latest = self._begin(function)
            ends = self._began + self._timeout
        try:
            return latest.result(max(0.0, ends - monotonic()))
        except FutureTimeoutError as error:
            # Python 3.10 has two classes of this name.
            raise TimeoutError from error

    def _begin(self, function: Callable[[], Result]) -> Future[Result]:
        self._began = monotonic()
        try:
            self._latest = started(function, THREAD)
        except RuntimeError as error:
            raise TimeoutError from error
        return self._latest

    def _is_outdated(self, latest: Future[Result]) -> bool:
        if not latest.done():
            return False
        return latest.exception() is not None or monotonic() - self._began > self._max_age


def started(function: Callable[[], Result], name: str | None = None) -> Future[Result]:
    """Start a function in a thread of this name, which ends with the process; return its future.

    :raises RuntimeError: if the process may have no more threads.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 (it is raised in the waiting threads)
            future.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True).start()
    return future
