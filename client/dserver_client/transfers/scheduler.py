"""Run many tasks in threads, as many at the same time as the store can take.

A number of connections that suits one store is wrong for the next: at 30 ms of latency 64 are
faster than 8, on the same machine they are slower, and a store may answer 503 SlowDown. So the
number doubles as long as that makes transfers faster, halves when a store asks for less, and more
is tried again now and then.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

Task = Callable[[], None]

# A request costs about as much time as transferring so many bytes more.
_REQUEST_IN_BYTES = 65_536
_FASTER = 1.15
# What is measured between two decisions: at least so many seconds and two tasks for each thread,
# or so many seconds in all, as tasks may be long.
_SHORTEST_WINDOW = 0.1
_LONGEST_WINDOW = 1.0
_FIRST_RETRY = 1.0
_LAST_RETRY = 30.0
_QUEUED_TASKS = 256
# Windows does not interrupt a thread that waits for a lock: the calling thread wakes up so often.
_WAIT = 0.1
_GRACE = 2.0


class Stopped(Exception):
    """Raised in a task because its run is ending; ``run`` raises what it ends for."""


class Limit:
    """How many tasks may be at work at the same time; adapts to what tasks say of their transfers.

    It is used for one run at a time, and keeps what it has learned for the next.
    """

    def __init__(
        self, start: int = 8, most: int = 64, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.current = min(start, most)
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._work = 0
        self._tasks = 0
        self._window_began = clock()
        self._growing = True
        self._slower: tuple[int, float] | None = None
        self._is_doubted = False
        self._retry_after = _FIRST_RETRY
        self._retry_at = 0.0
        self._slowed_at = -math.inf

    def advance(self, size_in_bytes: int) -> None:
        """Count bytes that were sent or received; tasks call it for every block."""
        with self._lock:
            self._work += size_in_bytes

    def slow_down(self) -> None:
        """Halve the number: the store answered 503 SlowDown or 429, or not in time.

        What several tasks say at the same time counts once.
        """
        with self._lock:
            now = self._clock()
            if now >= self._slowed_at + _LONGEST_WINDOW:
                self._slowed_at = now
                self.current = max(1, self.current // 2)
                self._settle(now)
                self._begin_window(now)

    def pause(self, seconds: float) -> None:
        """Wait within a task. Raise Stopped at once if the run ends."""
        if self._stopping.wait(seconds):
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if the run is ending; long tasks call it for every block."""
        if self._stopping.is_set():
            raise Stopped

    def begin_run(self) -> None:
        self._stopping.clear()
        with self._lock:
            self._begin_window(self._clock())

    def end_run(self) -> None:
        self._stopping.set()

    def task_done(self) -> None:
        """Count a task, and decide on the number when enough has been measured."""
        with self._lock:
            self._tasks += 1
            self._work += _REQUEST_IN_BYTES
            now = self._clock()
            seconds = now - self._window_began
            if seconds < _SHORTEST_WINDOW:
                return
            if self._tasks >= 2 * self.current or seconds >= _LONGEST_WINDOW:
                self._decide(self._work / seconds, now)
                self._begin_window(now)

    def _begin_window(self, now: float) -> None:
        self._window_began = now
        self._work = self._tasks = 0

    def _decide(self, rate: float, now: float) -> None:
        """Double the number while that helps, else go back; ``rate`` is in bytes per second."""
        if not self._growing:
            if now < self._retry_at:
                return
            self._growing, self._slower = True, None
        if self._slower is not None and rate < _FASTER * self._slower[1]:
            # Measured twice: new connections, or a request to dserver, may have taken the time.
            if self._is_doubted:
                self.current = self._slower[0]
                self._settle(now)
            self._is_doubted = not self._is_doubted
            return
        self._is_doubted = False
        if self.current < self._most:
            self._slower = (self.current, rate)
            self.current = min(2 * self.current, self._most)
        else:
            self._settle(now)

    def _settle(self, now: float) -> None:
        """Keep the number for a while, each time for longer."""
        self._growing = False
        self._retry_at = now + self._retry_after
        self._retry_after = min(2 * self._retry_after, _LAST_RETRY)


class _Run:
    """Threads that take tasks from one queue; ``lock`` guards everything here."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._task_queued = threading.Condition(self._lock)
        self._task_taken = threading.Condition(self._lock)
        self._queue: deque[Task] = deque()
        self._threads: list[threading.Thread] = []
        self._at_work = 0
        self._idle = 0
        self._ending = False
        self._error: BaseException | None = None

    def put(self, task: Task) -> None:
        """Queue a task, when there is a place for it. Raise what ended the run, if anything did."""
        with self._lock:
            # Fill the queue when it is half empty, rather than wake up for every task.
            if len(self._queue) >= _QUEUED_TASKS:
                self._wait_until_queued(_QUEUED_TASKS // 2)
            if self._error is not None:
                raise self._error
            self._queue.append(task)
            self._employ()

    def finish(self) -> None:
        """Wait until all tasks are done. Raise the error that ended the run, if any."""
        with self._lock:
            self._wait_until_queued(0)
            while self._at_work and self._error is None:
                self._task_taken.wait(_WAIT)
            if self._error is not None:
                raise self._error

    def end(self, seconds: float | None) -> None:
        """Take no more tasks, and wait for the threads; for at most so many seconds, if given."""
        with self._lock:
            self._ending = True
            self._queue.clear()
            self._task_queued.notify_all()
        until = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            while thread.is_alive() and (until is None or time.monotonic() < until):
                thread.join(_WAIT)

    def _wait_until_queued(self, number: int) -> None:
        while len(self._queue) > number and self._error is None:
            self._task_taken.wait(_WAIT)

    def _employ(self) -> None:
        """Wake a thread or start one, if one more may be at work."""
        if self._at_work >= self._limit.current:
            return
        if self._idle:
            self._task_queued.notify()
        elif len(self._threads) < self._limit.current:
            # A daemon, so that one that hangs does not keep a program that was interrupted alive.
            thread = threading.Thread(target=self._work, name="transfer", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (task := self._take()) is not None:
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - raised in the thread that called run
                self._fail(error)
            self._limit.task_done()
            with self._lock:
                self._at_work -= 1
                if not self._queue:
                    self._task_taken.notify()

    def _take(self) -> Task | None:
        with self._lock:
            while not self._ending and (not self._queue or self._at_work >= self._limit.current):
                self._idle += 1
                self._task_queued.wait()
                self._idle -= 1
            if self._ending:
                return None
            task = self._queue.popleft()
            self._at_work += 1
            if self._queue:
                self._employ()
            if len(self._queue) <= _QUEUED_TASKS // 2:
                self._task_taken.notify()
            return task

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
            self._queue.clear()
            self._task_taken.notify()
        # Now, because another task that raises Stopped would be taken for what ended the run.
        self._limit.end_run()


def run(tasks: Iterable[Task], limit: Limit | None = None) -> None:
    """Run all tasks in threads, and return when they are done.

    ``tasks`` is iterated in the calling thread, a few hundred tasks ahead. The first error of a
    task or of the iterable ends the run and is raised; so does Ctrl-C. Tasks at work may then end,
    or raise Stopped from ``limit.check()`` and ``limit.pause()``. No thread outlives the call,
    unless a task hangs for more than two seconds after Ctrl-C.
    """
    limit = limit or Limit()
    limit.begin_run()
    threads = _Run(limit)
    grace: float | None = None
    try:
        for task in tasks:
            threads.put(task)
        threads.finish()
    except KeyboardInterrupt:
        grace = _GRACE
        raise
    finally:
        limit.end_run()
        threads.end(grace)
