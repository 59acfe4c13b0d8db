"""Batches: what fails for a moment is repeated, and what is an answer is not."""

from __future__ import annotations

import threading
from collections import Counter
from time import monotonic

import pytest

from dserver_signed_url_plugin.errors import StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.parallel import each


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
    assert monotonic() - began < 1
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
