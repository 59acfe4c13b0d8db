"""The same for many things at once, as storages ask their stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

PARALLEL = 16

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """Do the same for many things, 16 at a time; the first error ends it."""
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        return list(pool.map(work, things))
    finally:
        pool.shutdown(cancel_futures=True)
