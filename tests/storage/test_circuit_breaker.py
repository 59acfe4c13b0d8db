"""Who may ask a store that answers, that is silent, and that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest

from dserver_signed_url_plugin.errors import ItemNotFound, StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.circuit_breaker import CircuitBreaker, guarded
from dserver_signed_url_plugin.storage.deadline import Deadline

SECONDS = 30


@pytest.fixture
def never() -> threading.Event:
    return threading.Event()


def ask(store: CircuitBreaker, answer: Callable[[], Any] = lambda: None) -> Any:
    """Be one call that asks the store."""
    with store.call():
        deadline.left()
        return answer()


def away() -> None:
    raise StorageAway("The store", "is away")


def silent(never: threading.Event) -> None:
    """Wait as long as a call may, as a socket does."""
    while True:
        try:
            never.wait(deadline.left())
        except TimeoutError as error:
            raise StorageAway("The store", "is silent") from error
        if never.is_set():
            return


def outcomes(
    store: CircuitBreaker, calls: int, answer: Callable[[], Any]
) -> list[tuple[str, float]]:
    """Call at once, and return what came of each, and after how many seconds."""
    start = threading.Barrier(calls)

    def one(_: int) -> tuple[str, float]:
        start.wait()
        began = monotonic()
        try:
            ask(store, answer)
        except StorageAway as error:
            return error.message, monotonic() - began
        return "", monotonic() - began

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(one, range(calls)))


def test_a_store_that_never_answered_is_waited_for_by_two_calls_only(never):
    store = CircuitBreaker("lab", 3)
    waited = [seconds for _, seconds in outcomes(store, 8, lambda: silent(never))]
    assert len([seconds for seconds in waited if seconds >= 3]) == 2
    assert len([seconds for seconds in waited if seconds < 2.5]) == 6


def test_calls_that_come_while_others_wait_are_refused_at_once(never):
    store = CircuitBreaker("lab", SECONDS)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ask, store, lambda: silent(never)) for _ in range(2)]
        outcomes(store, 1, away)
        [(message, seconds)] = outcomes(store, 1, away)
        never.set()
        for one in waiting:
            one.result()
    assert (message, seconds < 0.5) == (
        "The store of lab does not answer at the moment; call again in 1 s.",
        True,
    )


def test_a_store_that_goes_silent_holds_two_calls_for_long(never):
    store = CircuitBreaker("lab", 6)
    ask(store)
    waited = sorted(seconds for _, seconds in outcomes(store, 6, lambda: silent(never)))
    assert waited[3] < 4
    assert waited[4] >= 6


def test_any_number_of_calls_may_ask_a_store_that_answers(never):
    store = CircuitBreaker("lab", SECONDS)
    assert [message for message, _ in outcomes(store, 64, lambda: never.wait(0.02))] == [""] * 64


def test_a_slow_store_is_asked_by_all_once_it_has_answered(never):
    store = CircuitBreaker("lab", SECONDS)
    ask(store, lambda: never.wait(0.8))
    assert [message for message, _ in outcomes(store, 32, lambda: never.wait(1))] == [""] * 32


def test_calls_that_were_answered_and_do_work_of_their_own_keep_nobody_out(never):
    store = CircuitBreaker("lab", 3)
    working, done = threading.Barrier(3), threading.Event()

    def work() -> None:
        deadline.left()
        deadline.progress()
        working.wait()
        done.wait()

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(ask, store, work) for _ in range(2)]
        working.wait()
        # Longer than anybody has patience with a silent store.
        never.wait(1.5)
        assert [message for message, _ in outcomes(store, 1, lambda: None)] == [""]
        done.set()
        for one in busy:
            one.result()


def test_what_asks_nothing_tells_nothing_of_the_store(never):
    store = CircuitBreaker("lab", 2)
    for _ in range(3):
        with store.call():
            pass
    waited = [seconds for _, seconds in outcomes(store, 4, lambda: silent(never))]
    assert len([seconds for seconds in waited if seconds >= 2]) == 2


def test_a_store_that_did_not_answer_in_time_is_left_alone_and_then_tried_by_one(never):
    store = CircuitBreaker("lab", 1)
    outcomes(store, 1, lambda: silent(never))
    with pytest.raises(StorageAway) as refusal:
        ask(store)
    assert refusal.value.retry_after == 1
    never.wait(1 / 6 + 0.05)
    trying = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(ask, store, lambda: (trying.set(), never.wait(5)))
        trying.wait()
        with pytest.raises(StorageAway):
            ask(store)
        never.set()
        probe.result()
    assert [message for message, _ in outcomes(store, 8, lambda: None)] == [""] * 8


def test_failures_in_a_row_count_as_being_away_and_an_answer_ends_the_row():
    store = CircuitBreaker("lab", SECONDS)
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(StorageAway, match="is away"):
                ask(store, away)
        ask(store)
    for _ in range(5):
        with pytest.raises(StorageAway, match="is away"):
            ask(store, away)
    with pytest.raises(StorageAway, match="call again in 5 s"):
        ask(store)


@pytest.mark.parametrize("error", [ItemNotFound("x"), StorageUnavailable("The store", "refused")])
def test_a_refusal_is_an_answer(error):
    def refuse() -> None:
        raise error

    store = CircuitBreaker("lab", SECONDS)
    for _ in range(10):
        with pytest.raises(type(error)):
            ask(store, refuse)


def test_a_call_that_spent_its_time_elsewhere_says_nothing_of_the_store(never):
    store = CircuitBreaker("lab", SECONDS)
    with deadline.under(Deadline(0.05)), pytest.raises(StorageAway):
        ask(store, lambda: silent(never))
    ask(store)


def test_progress_puts_the_deadline_off(never):
    store = CircuitBreaker("lab", 0.3)
    with deadline.under(Deadline(0.3)), store.call():
        for _ in range(5):
            never.wait(0.1)
            assert deadline.left() > 0
            deadline.progress()


def test_one_long_thing_is_allowed_more_than_a_call():
    with deadline.under(Deadline(1)), CircuitBreaker("lab", 1).call():
        deadline.allow(100)
        assert deadline.left() > 100


class Things:
    """Something that asks a store, by one method and by another that calls it."""

    def one(self) -> Deadline | None:
        return deadline.current()

    def two(self) -> list[Deadline | None]:
        return [deadline.current(), self.one()]

    def life(self) -> Deadline | None:
        return self.one()


def test_every_method_is_a_call_to_the_store_and_one_inside_it_is_part_of_that():
    things = guarded(Things(), CircuitBreaker("lab", SECONDS))
    first, second = things.one(), things.life()
    assert None not in (first, second)
    assert first is not second
    outer, inner = things.two()
    assert outer is inner


def test_each_call_is_observed_with_its_result_and_the_state_of_the_breaker():
    seen: list[tuple[str, bool]] = []

    def observe(result: str, seconds: float, *, is_open: bool) -> None:
        assert 0 <= seconds < SECONDS
        seen.append((result, is_open))

    def missing() -> None:
        raise ItemNotFound("a")

    store = CircuitBreaker("lab", SECONDS, observe)
    for answer in (lambda: ask(store, lambda: None), missing, *[away] * 6):
        with suppress(ItemNotFound, StorageAway):
            ask(store, answer)
    ended = [("ok", False)] * 2 + [("failed", False)] * 4 + [("failed", True), ("refused", True)]
    assert seen == ended


class Signer:
    """Its life() has a request to send at times only, as for a key that is kept."""

    def __init__(self) -> None:
        self.request = lambda: None

    def life(self) -> None:
        self.request()


def test_a_life_that_sends_no_request_says_nothing_of_the_store():
    results: list[str] = []
    store = CircuitBreaker("lab", 0.06, lambda result, *_, **__: results.append(result))
    signer = guarded(Signer(), store)
    signer.life()
    assert results == []
    for _ in range(5):
        with pytest.raises(StorageAway):
            ask(store, away)
    threading.Event().wait(0.05)
    signer.life()
    assert store.is_open
    ask(store)
    assert not store.is_open


def test_a_life_for_which_the_store_is_silent_opens_the_breaker(never):
    store = CircuitBreaker("lab", 0.1)
    signer = guarded(Signer(), store)
    signer.request = lambda: silent(never)
    with pytest.raises(StorageAway, match="is silent"):
        signer.life()
    with pytest.raises(StorageAway, match="at the moment"):
        signer.life()
