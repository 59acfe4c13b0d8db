"""How many tasks run at the same time, and how a run ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from dserver_client.transfers.scheduler import Limit, Stopped, run

Task = Callable[[], None]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _simulate(limit: Limit, clock: Clock, rate: Callable[[int], float], tasks: int) -> list[int]:
    """Run tasks one after another, in the time that ``rate`` of them per second take."""
    seen = []
    for _ in range(tasks):
        clock.now += 1 / rate(limit.current)
        seen.append(limit.current)
        limit.task_done()
    return seen


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("transfer")}


def test_every_task_is_run_once() -> None:
    done: list[int] = []

    run((lambda n=n: done.append(n)) for n in range(3_000))  # type: ignore[misc]

    assert sorted(done) == list(range(3_000))
    assert not _threads()


def test_tasks_are_taken_a_few_hundred_ahead_only() -> None:
    taken = done = most = 0

    def task() -> None:
        nonlocal done
        done += 1

    def tasks() -> Iterator[Task]:
        nonlocal taken, most
        for taken in range(1, 20_001):
            most = max(most, taken - done)
            yield task

    run(tasks(), Limit(1, 1))

    assert done == 20_000
    assert most <= 260


def test_no_more_tasks_run_at_the_same_time_than_the_limit_says() -> None:
    together = threading.Barrier(4)

    # It breaks unless exactly four come at a time.
    run((lambda: _pass(together) for _ in range(400)), Limit(4, 4))


def _pass(barrier: threading.Barrier) -> None:
    barrier.wait(timeout=30)


def test_the_first_error_ends_the_run_and_is_raised() -> None:
    begun: list[int] = []

    def task(number: int) -> None:
        begun.append(number)
        if number == 10:
            raise ValueError("the tenth")

    with pytest.raises(ValueError, match="the tenth"):
        run(((lambda n=n: task(n)) for n in range(100_000)), Limit(2, 2))  # type: ignore[misc]

    assert len(begun) < 1_000
    assert not _threads()


def test_an_error_of_the_iterable_ends_the_run_and_is_raised() -> None:
    def tasks() -> Iterator[Task]:
        yield lambda: None
        raise ValueError("no second one")

    with pytest.raises(ValueError, match="no second one"):
        run(tasks())

    assert not _threads()


class StopsAnotherTaskFirst(Limit):
    """A limit whose run ends only after a task that it has stopped has failed, too."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.other_failed = threading.Event()

    def end_run(self) -> None:
        super().end_run()
        if threading.current_thread() is not threading.main_thread():
            self.other_failed.wait(timeout=30)

    def task_done(self) -> None:
        self.other_failed.set()
        super().task_done()


def test_what_a_failure_stops_is_not_taken_for_the_failure() -> None:
    limit = StopsAnotherTaskFirst()
    at_work = threading.Barrier(2)

    def fails() -> None:
        at_work.wait(timeout=30)
        raise ValueError("the first")

    def is_stopped() -> None:
        at_work.wait(timeout=30)
        try:
            limit.pause(30)
        except Stopped:
            limit.other_failed.set()
            raise

    with pytest.raises(ValueError, match="the first"):
        run([fails, is_stopped], limit)


def test_ctrl_c_stops_long_tasks_and_leaves_no_thread() -> None:
    limit = Limit(4, 4)
    stopped: list[int] = []
    at_work = threading.Barrier(4)

    def task(number: int) -> None:
        at_work.wait(timeout=30)
        if number == 0:
            signal.raise_signal(signal.SIGINT)
        try:
            limit.pause(3_600)
        except Stopped:
            stopped.append(number)
            raise

    with pytest.raises(KeyboardInterrupt):
        run(((lambda n=n: task(n)) for n in range(8)), limit)  # type: ignore[misc]

    assert sorted(stopped) == [0, 1, 2, 3]
    assert not _threads()


def test_the_number_grows_while_that_makes_transfers_faster() -> None:
    clock = Clock()
    limit = Limit(clock=clock)

    _simulate(limit, clock, lambda current: current / 0.03, 2_000)

    assert limit.current == 64


def test_the_number_goes_back_where_more_is_not_faster() -> None:
    clock = Clock()
    limit = Limit(clock=clock)

    seen = _simulate(limit, clock, lambda current: min(current, 16) / 0.03, 5_000)

    # Tried again now and then, for a moment.
    assert limit.current in (16, 32)
    assert seen.count(16) > 0.8 * len(seen)


def test_one_delay_does_not_make_more_seem_slower() -> None:
    clock = Clock()
    limit = Limit(clock=clock)
    seen = _simulate(limit, clock, lambda current: current / 0.03, 200)
    clock.now += 0.3

    seen += _simulate(limit, clock, lambda current: current / 0.03, 400)

    assert seen[200] == 64
    assert seen[-1] == 64


def test_bytes_count_where_tasks_are_long() -> None:
    clock = Clock()
    limit = Limit(clock=clock)

    for _ in range(3):
        clock.now += 2.0
        limit.advance(limit.current * 10_000_000)
        limit.task_done()

    assert limit.current == 64


def test_the_number_halves_once_for_what_many_tasks_say_at_the_same_time() -> None:
    clock = Clock()
    limit = Limit(64, 64, clock)

    for _ in range(64):
        limit.slow_down()
    assert limit.current == 32

    clock.now += 5
    limit.slow_down()
    assert limit.current == 16


def test_the_number_recovers_after_a_store_asked_for_less() -> None:
    clock = Clock()
    limit = Limit(64, 64, clock)
    limit.slow_down()

    _simulate(limit, clock, lambda current: current / 0.03, 4_000)

    assert limit.current == 64


def test_the_number_never_falls_below_one() -> None:
    clock = Clock()
    limit = Limit(2, 64, clock)

    for _ in range(5):
        clock.now += 5
        limit.slow_down()

    assert limit.current == 1
