"""Results that are made before they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from dserver_client.broker.errors import NoSuchEntry
from dserver_client.broker.read_ahead import WINDOW, WINDOW_BYTES, Done, ReadAhead
from dserver_client.errors import Unavailable
from dserver_client.manifest import ManifestItem


def items(number: int, size_in_bytes: int = 1) -> list[ManifestItem]:
    return [ManifestItem(str(n), f"item {n}", size_in_bytes) for n in range(number)]


class Working:
    """Answers with an item's relpath, and notes what it has worked on."""

    def __init__(self, failing: str | None = None) -> None:
        self.worked: list[str] = []
        self._failing = failing
        self._progressed = threading.Condition()

    def __call__(self, batch: Sequence[ManifestItem], done: Done[str]) -> None:
        for item in batch:
            if item.identifier == self._failing:
                raise Unavailable("The store is away.")
            done(item, item.relpath)
            with self._progressed:
                self.worked.append(item.identifier)
                self._progressed.notify_all()

    def wait_for(self, number: int) -> None:
        with self._progressed:
            assert self._progressed.wait_for(lambda: len(self.worked) >= number, timeout=60)


def test_one_item_is_no_reason_to_read_ahead() -> None:
    work = Working()
    ahead = ReadAhead(items(10), work)
    assert ahead.get("3") == "item 3"
    assert ahead.get("3") == "item 3"
    work.wait_for(2)
    assert work.worked == ["3", "3"]


def test_items_in_order_are_a_reason() -> None:
    work = Working()
    ahead = ReadAhead(items(2 * WINDOW), work)
    assert [ahead.get(str(n)) for n in range(2)] == ["item 0", "item 1"]
    work.wait_for(WINDOW + 2)
    assert [ahead.get(str(n)) for n in range(2, WINDOW + 2)][-1] == f"item {WINDOW + 1}"
    assert len(set(work.worked)) == len(work.worked)


def test_large_items_are_read_ahead_as_far_as_the_window_goes() -> None:
    work = Working()
    ahead = ReadAhead(items(10, WINDOW_BYTES // 2), work)
    for n in range(2):
        ahead.get(str(n))
    work.wait_for(4)
    assert work.worked == ["0", "1", "2", "3"]


def test_an_error_is_raised_where_the_item_is_asked_for() -> None:
    work = Working(failing="5")
    ahead = ReadAhead(items(10), work)
    for n in range(5):
        assert ahead.get(str(n)) == f"item {n}"
    with pytest.raises(Unavailable, match="away"):
        ahead.get("5")
    # It is tried again when it is asked for again, and so are those that waited behind it.
    with pytest.raises(Unavailable, match="away"):
        ahead.get("5")


def test_an_item_that_the_dataset_has_not_is_an_error() -> None:
    with pytest.raises(NoSuchEntry, match="no item 'x'"):
        ReadAhead(items(1), Working()).get("x")
