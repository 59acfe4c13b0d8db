"""A result that many want is worked for once, and nobody waits for long."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from unittest.mock import Mock

import pytest

from dserver_signed_url_plugin.shared_result import SharedResult


def test_whoever_comes_meanwhile_has_the_same_result():
    shared, ended, calls = SharedResult(timeout=20, max_age=20), threading.Event(), []

    def work() -> int:
        calls.append(1)
        ended.wait(20)
        return len(calls)

    with ThreadPoolExecutor(5) as pool:
        results = [pool.submit(shared.of, work) for _ in range(5)]
        ended.set()
        assert {each.result() for each in results} == {1}
    assert shared.of(work) == 1


def test_what_hangs_is_waited_for_once_and_not_called_again():
    shared, ended, calls = SharedResult(timeout=0.1, max_age=20), threading.Event(), []

    def hang() -> None:
        calls.append(1)
        ended.wait(20)

    began = monotonic()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            shared.of(hang)
    # Were it waited for each time, that would be ten seconds.
    assert monotonic() - began < 5
    ended.set()
    assert len(calls) == 1


def test_an_outdated_result_is_not_returned():
    shared, numbers = SharedResult(timeout=20, max_age=0), iter(range(9))
    assert [shared.of(lambda: next(numbers)) for _ in range(2)] == [0, 1]


def test_an_exception_is_raised_and_not_kept():
    shared, numbers = SharedResult(timeout=20, max_age=20), iter([0, 2])
    with pytest.raises(SystemExit):
        shared.of(sys.exit)
    with pytest.raises(ZeroDivisionError):
        shared.of(lambda: 1 / next(numbers))
    assert shared.of(lambda: 1 / next(numbers)) == 0.5


def test_a_thread_that_cannot_be_started_is_waited_for_by_nobody(monkeypatch):
    shared = SharedResult(timeout=20, max_age=20)
    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError))
        with pytest.raises(TimeoutError):
            shared.of(lambda: 1)
    assert shared.of(lambda: 2) == 2
