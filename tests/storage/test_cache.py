"""What a store said is kept for a while, and nobody waits for it for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from dserver_signed_url_plugin.errors import StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage.cache import CachedAnswer


class Source:
    """Answers with the number of the question, or not until it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        self.may_answer.wait(60)
        if self.error:
            raise self.error
        return number


def test_an_answer_is_kept_until_somebody_asks_anew():
    remembered = CachedAnswer(Source())
    assert [remembered.get(), remembered.get()] == [1, 1]
    assert [remembered.refresh(), remembered.get()] == [2, 2]


@pytest.mark.parametrize("error", [StorageUnavailable("The store", "says no"), ValueError("no")])
def test_a_failure_is_kept_too(error):
    source = Source()
    source.error = error
    remembered = CachedAnswer(source)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            remembered.get()
    assert source.asked == 1
    source.error = None
    assert remembered.refresh() == remembered.get() == 2


def test_nobody_waits_long_and_one_asks():
    source = Source()
    source.may_answer.clear()
    remembered = CachedAnswer(source)
    began = monotonic()

    def one(_: int) -> None:
        with pytest.raises(StorageAway):
            remembered.get()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    one(9)
    assert monotonic() - began < 30
    assert source.asked == 1
    source.may_answer.set()
    while remembered._pending is not None:
        pass
    assert (remembered.get(), source.asked) == (1, 1)
