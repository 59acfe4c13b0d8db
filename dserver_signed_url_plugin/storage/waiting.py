"""Waits, until the deadline of the call, for what has no timeout of its own: a thread or a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TypeVar

from dserver_signed_url_plugin.errors import StorageAway
from dserver_signed_url_plugin.shared_result import started
from dserver_signed_url_plugin.storage import deadline

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result]) -> Result:
    """Run work that may hang in a thread, and wait for it until the deadline.

    :raises StorageAway: at the deadline; the thread goes on until the work ends.
    """
    done = started(work)
    while not done.done():
        wait([done], _seconds_left())
    return done.result()


@contextmanager
def locked(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock for the ``with`` block, which another thread may keep while it waits for a store.

    :raises StorageAway: if it is not free until the deadline.
    """
    while not lock.acquire(blocking=False):
        seconds = _seconds_left()
        if lock.acquire(timeout=-1 if seconds is None else seconds):
            break
    try:
        yield
    finally:
        lock.release()


def _seconds_left() -> float | None:
    try:
        return deadline.left()
    except TimeoutError as over:
        raise StorageAway("The store", "does not answer") from over
