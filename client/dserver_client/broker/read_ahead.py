"""Results for the items of a dataset, made ahead of being asked for.

dtool asks for one item after another. When it does so in the order of the manifest, the items that
follow are at work in the background, so that their transfers overlap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from dserver_client.broker.errors import NoSuchEntry
from dserver_client.manifest import ManifestItem

# How far to read ahead: so many items, of so many bytes.
WINDOW = 128
WINDOW_BYTES = 256 * 1024 * 1024
# A thread that has nothing to do ends after so many seconds.
_IDLE = 1.0

Result = TypeVar("Result")
# Works on items, and says of each when it is done.
Done = Callable[[ManifestItem, Result], None]
Work = Callable[[Sequence[ManifestItem], Done[Result]], None]


class ReadAhead(Generic[Result]):
    """The results for the items of one dataset. Threads may share it, forked processes may not.

    :param items: all items, in the order of the manifest.
    :param work: is called with batches of items, in a thread of its own. If it raises an error,
        that is the result for all items that are not done.
    """

    def __init__(self, items: Sequence[ManifestItem], work: Work[Result]) -> None:
        self._items = items
        self._positions = {item.identifier: n for n, item in enumerate(items)}
        self._work = work
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[ManifestItem, Future[Result]]] = SimpleQueue()
        self._results: dict[str, Future[Result]] = {}
        self._thread: threading.Thread | None = None
        self._asked: int | None = None
        self._read_to = -1

    def get(self, identifier: str) -> Result:
        """Return the result for an item, when it is done.

        :raises NoSuchEntry: if there is no such item.
        """
        try:
            position = self._positions[identifier]
        except KeyError:
            raise NoSuchEntry(f"The dataset has no item {identifier!r}.") from None
        with self._lock:
            result = self._start(position)
            if self._asked is not None and 0 < position - self._asked <= WINDOW:
                self._read_ahead(position)
            self._asked = position
        try:
            return result.result()
        finally:
            self._results.pop(identifier, None)

    def _read_ahead(self, position: int) -> None:
        """Start what comes after an item, unless it has been started before."""
        size = 0
        for following in range(position + 1, min(position + 1 + WINDOW, len(self._items))):
            size += self._items[following].size_in_bytes
            if size > WINDOW_BYTES:
                break
            if following > self._read_to:
                self._start(following)
                self._read_to = following

    def _start(self, position: int) -> Future[Result]:
        item = self._items[position]
        result = self._results.get(item.identifier)
        # What failed ahead of being asked for may succeed by now.
        if result is None or (result.done() and result.exception() is not None):
            result = self._results[item.identifier] = Future()
            self._queue.put((item, result))
            if self._thread is None:
                # A daemon: a program that ends does not wait for what it did not ask for.
                self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
                self._thread.start()
        return result

    def _run(self) -> None:
        while batch := self._next_batch():
            results = {item.identifier: result for item, result in batch}
            error: BaseException = RuntimeError("The work ended too early.")
            try:
                self._work([item for item, _ in batch], _setter(results))
            except BaseException as raised:  # noqa: BLE001 - raised again where the result is used
                error = raised
            for result in results.values():
                if not result.done():
                    result.set_exception(error)

    def _next_batch(self) -> list[tuple[ManifestItem, Future[Result]]]:
        """Return all items that wait, when there are any; none if the thread is to end."""
        try:
            batch = [self._queue.get(timeout=_IDLE)]
        except Empty:
            with self._lock:
                if self._queue.empty():
                    self._thread = None
                    return []
                batch = [self._queue.get()]
        while not self._queue.empty():
            batch.append(self._queue.get())
        return batch


def _setter(results: dict[str, Future[Result]]) -> Done[Result]:
    return lambda item, result: results[item.identifier].set_result(result)
