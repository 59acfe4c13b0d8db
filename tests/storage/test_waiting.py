from __future__ import annotations

import threading
from time import monotonic

import pytest

from dserver_signed_url_plugin.errors import StorageAway
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline
from dserver_signed_url_plugin.storage.waiting import in_thread, locked


def test_what_hangs_is_left_waiting_when_the_time_is_over():
    never, began = threading.Event(), monotonic()
    with deadline.under(Deadline(0.2)), pytest.raises(StorageAway):
        in_thread(lambda: never.wait(10))
    assert monotonic() - began < 5
    never.set()


def test_what_is_done_in_a_thread_returns_and_raises_as_here():
    assert in_thread(lambda: 1) == 1
    with pytest.raises(TimeoutError, match="of the work"):
        in_thread(lambda: (_ for _ in ()).throw(TimeoutError("of the work")))


def test_a_lock_that_another_thread_keeps_is_waited_for_until_the_deadline():
    lock = threading.Lock()
    with locked(lock), deadline.under(Deadline(0.05)), pytest.raises(StorageAway), locked(lock):
        pass
    with locked(lock):
        assert lock.locked()
