"""Who may ask a store that answers, that is silent, and that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from itertools import islice
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


def outcomes(store: CircuitBreaker, calls: int, answer: Callable[[], Any]) -> list[str]:
    """Call at once, and return with which message each was refused."""
    start = threading.Barrier(calls)

    def one(_: int) -> str:
        start.wait()
        try:
            ask(store, answer)
        except StorageAway as error:
            return error.message
        return ""

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(one, range(calls)))


@contextmanager
def ended_of(
    calls: int, store: CircuitBreaker, never: threading.Event
) -> Iterator[Iterator[Future[None]]]:
    """Call a silent store at once; yield the calls as they end. After the block it answers."""
    with ThreadPoolExecutor(calls) as pool:
        asked = [pool.submit(ask, store, lambda: silent(never)) for _ in range(calls)]
        try:
            yield as_completed(asked)
        finally:
            never.set()


@contextmanager
def waiting_for(store: CircuitBreaker, never: threading.Event) -> Iterator[None]:
    """Let two calls wait for a silent store, which answers after the block."""
    waiting = threading.Barrier(3)

    def wait() -> None:
        waiting.wait()
        silent(never)

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(ask, store, wait) for _ in range(2)]
        waiting.wait()
        try:
            yield
        finally:
            never.set()
    assert [call.result() for call in calls] == [None] * 2


class Clock:
    """A breaker's time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def let_pass(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_store_that_never_answered_is_waited_for_by_two_calls_only(never):
    began = monotonic()
    with ended_of(8, CircuitBreaker("lab", 10), never) as ended:
        refused = list(islice(ended, 6))
        assert monotonic() - began < 8
    assert ["at the moment" in str(call.exception()) for call in refused] == [True] * 6
    assert [call.exception() for call in ended] == [None] * 2


def test_calls_that_come_while_others_wait_are_refused_at_once(never, clock):
    store = CircuitBreaker("lab", SECONDS, clock=clock)
    with ThreadPoolExecutor(1) as pool, waiting_for(store, never):
        clock.let_pass(SECONDS / 10)
        refusal = pool.submit(ask, store).exception(timeout=SECONDS)
    assert str(refusal) == "The store of lab does not answer at the moment; call again in 1 s."


def test_a_store_that_goes_silent_holds_two_calls_for_long(never):
    store, began = CircuitBreaker("lab", 10), monotonic()
    ask(store)
    with ended_of(6, store, never) as ended:
        gave_up = list(islice(ended, 4))
        assert monotonic() - began < 8
    assert [type(call.exception()) for call in gave_up] == [StorageAway] * 4
    assert [call.exception() for call in ended] == [None] * 2


def test_any_number_of_calls_may_ask_a_store_that_answers(never):
    store = CircuitBreaker("lab", 10 * SECONDS)
    assert outcomes(store, 64, lambda: never.wait(0.02)) == [""] * 64


def test_a_slow_store_is_asked_by_all_once_it_has_answered(never, clock):
    store = CircuitBreaker("lab", SECONDS, clock=clock)
    ask(store, lambda: clock.let_pass(2))
    with waiting_for(store, never):
        clock.let_pass(7)
        assert outcomes(store, 32, lambda: None) == [""] * 32


def test_calls_that_were_answered_and_do_work_of_their_own_keep_nobody_out(clock):
    store = CircuitBreaker("lab", SECONDS, clock=clock)
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
        clock.let_pass(SECONDS / 2)
        assert outcomes(store, 1, lambda: None) == [""]
        done.set()
        for one in busy:
            one.result()


def test_what_asks_nothing_tells_nothing_of_the_store(never):
    store = CircuitBreaker("lab", 10)
    for _ in range(3):
        with store.call():
            pass
    with ended_of(4, store, never) as ended:
        refused = list(islice(ended, 2))
    assert ["at the moment" in str(call.exception()) for call in refused] == [True] * 2
    assert [call.exception() for call in ended] == [None] * 2


def be_silent(never: threading.Event, clock: Clock) -> None:
    """Wait as long as a call may, which is long by the clock of the breaker."""
    try:
        silent(never)
    finally:
        clock.let_pass(SECONDS)


def test_a_store_that_did_not_answer_in_time_is_left_alone_and_then_tried_by_one(never, clock):
    store = CircuitBreaker("lab", SECONDS, clock=clock)
    with deadline.under(Deadline(0.05)), pytest.raises(StorageAway, match="is silent"):
        ask(store, lambda: be_silent(never, clock))
    with pytest.raises(StorageAway) as refusal:
        ask(store)
    assert refusal.value.retry_after == 5
    clock.let_pass(5)
    trying = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(ask, store, lambda: (trying.set(), never.wait(SECONDS)))
        trying.wait()
        with pytest.raises(StorageAway):
            ask(store)
        never.set()
        probe.result()
    assert outcomes(store, 8, lambda: None) == [""] * 8


def test_failures_in_a_row_count_as_being_away_and_an_answer_ends_the_row(clock):
    store = CircuitBreaker("lab", SECONDS, clock=clock)
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
    with deadline.under(Deadline(SECONDS)), CircuitBreaker("lab", SECONDS).call():
        never.wait(0.05)
        left = deadline.left()
        deadline.progress()
        assert deadline.left() > left


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


def test_a_life_that_sends_no_request_says_nothing_of_the_store(clock):
    results: list[str] = []
    store = CircuitBreaker("lab", SECONDS, lambda result, *_, **__: results.append(result), clock)
    signer = guarded(Signer(), store)
    signer.life()
    assert results == []
    for _ in range(5):
        with pytest.raises(StorageAway):
            ask(store, away)
    clock.let_pass(SECONDS)
    signer.life()
    assert store.is_open
    ask(store)
    assert not store.is_open


def test_a_life_for_which_the_store_is_silent_opens_the_breaker(never, clock):
    store = CircuitBreaker("lab", SECONDS, clock=clock)
    signer = guarded(Signer(), store)
    signer.request = lambda: be_silent(never, clock)
    with deadline.under(Deadline(0.05)), pytest.raises(StorageAway, match="is silent"):
        signer.life()
    with pytest.raises(StorageAway, match="at the moment"):
        signer.life()
