"""A lock for the threads of one process, which a forked process does not inherit."""

from __future__ import annotations

import os
import threading


class ProcessLock:
    """A lock that each process has for itself.

    ``fork`` copies locks as they are. One that another thread holds would never be released in the
    child, which does not have that thread.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}  # by process

    def __enter__(self) -> None:
        process = os.getpid()
        lock = self._locks.get(process)
        if lock is None:
            lock = self._locks.setdefault(process, threading.Lock())
        lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._locks[os.getpid()].release()
