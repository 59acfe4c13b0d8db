"""Batches: what fails for a moment is repeated, and how many calls run at a time."""

from __future__ import annotations

import threading
from collections import Counter
from time import monotonic

import pytest

from dserver_signed_url_plugin.errors import StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.parallel import MAX_PARALLEL, PARALLEL, Pace, each


class Failing:
    """Work that fails at some things, so many times each."""

    def __init__(self, failures: dict[int, int], kind: type[StorageUnavailable] = StorageAway):
        self._failures, self._kind = failures, kind
        self._never = threading.Event()
        self.calls: Counter[int] = Counter()

    def __call__(self, thing: int) -> int:
        # As if it were asked of a store.
        self._never.wait(0.002)
        self.calls[thing] += 1
        if self.calls[thing] <= self._failures.get(thing, 0):
            raise self._kind("The store", "failed")
        return thing * 2


def test_one_of_a_thousand_that_fails_for_a_moment_is_repeated():
    work = Failing({500: 2})
    assert each(work, range(1000)) == [2 * thing for thing in range(1000)]
    assert work.calls[500] == 3


def test_one_that_goes_on_failing_ends_the_batch():
    work = Failing({500: 100})
    with pytest.raises(StorageAway):
        each(work, range(1000))
    assert work.calls[500] == 4


def test_where_all_fail_none_is_repeated_for_long():
    work = Failing(dict.fromkeys(range(1000), 100))
    began = monotonic()
    with pytest.raises(StorageAway):
        each(work, range(1000))
    # With the pauses of all it would be a minute.
    assert monotonic() - began < 10
    assert work.calls.total() < 500


def test_an_answer_is_not_repeated():
    work = Failing({5: 1}, StorageUnavailable)
    with pytest.raises(StorageUnavailable):
        each(work, range(10))
    assert work.calls[5] == 1


def test_nothing_is_repeated_when_the_call_has_no_time_for_it():
    work = Failing({0: 1})
    with deadline.under(Deadline(0.01)), pytest.raises(StorageAway):
        each(work, [0])
    assert work.calls[0] == 1


def test_all_of_a_batch_is_under_the_deadline_of_the_call():
    call = Deadline(30)
    with deadline.under(call):
        assert each(lambda _: deadline.current(), range(3)) == [call] * 3


# The pace --------------------------------------------------------------------------------------


class Load:
    """A store that answers so many calls per second, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(clock=lambda: self.now)

    def limit_after(self, calls_per_second: float) -> int:
        """Return how many calls run at a time after as many as are measured together."""
        for _ in range(4 * self.pace.limit):
            self.now += 1 / calls_per_second
            self.pace.done()
        return self.pace.limit

    def limit_after_overload(self, seconds_later: float) -> int:
        self.now += seconds_later
        self.pace.slow_down()
        return self.pace.limit


def test_twice_as_many_calls_run_at_a_time_while_that_is_faster():
    load = Load()
    assert load.pace.limit == PARALLEL == 16
    assert [load.limit_after(rate) for rate in (100, 200, 400, 800)] == [32, 64, 64, 64]
    assert MAX_PARALLEL == 64


@pytest.mark.parametrize("rate", [50, 100, 109])
def test_where_more_calls_are_not_faster_their_number_goes_back_and_stays(rate):
    load = Load()
    assert load.limit_after(100) == 32
    assert [load.limit_after(rate), load.limit_after(1000), load.limit_after(1000)] == [16] * 3


def test_an_overload_halves_the_calls_once_a_second_and_then_one_more_runs_at_a_time():
    load = Load()
    assert [load.limit_after(rate) for rate in (100, 200)] == [32, 64]
    assert [load.limit_after_overload(seconds) for seconds in (0, 0.6, 0.3, 0.2)] == [
        32,
        32,
        32,
        16,
    ]
    assert [load.limit_after(rate) for rate in (1000, 10, 1000)] == [17, 18, 19]


def test_there_is_always_one_call_at_a_time():
    load = Load()
    assert [load.limit_after_overload(2) for _ in range(6)] == [8, 4, 2, 1, 1, 1]


def test_a_number_of_calls_that_is_not_to_adapt_does_not_grow():
    pace = Pace(4, 4)
    for _ in range(100):
        pace.done()
    assert pace.limit == 4
