"""The observer that counts in the metrics of its process."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from dserver_signed_url_plugin.observer import Answer, Observer

if TYPE_CHECKING:
    from dserver_signed_url_plugin.metrics.meters import Meters


class Counting(Observer):
    """Counts in the metrics of this process.

    These are made with the first request. So a command, which serves none, writes nothing into the
    files that worker processes share, and forked workers have files of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: Meters | None = None

    @property
    def meters(self) -> Meters:
        """The metrics of this process."""
        with self._lock:
            if self._meters is None:
                self._meters = load_meters().Meters()
            return self._meters

    def request_began(self) -> None:
        if self._meters is None:
            _ = self.meters

    def answered(self, answer: Answer) -> None:
        self.meters.answered(answer)

    def completed(self, seconds: float, deposit_seconds: float, size_in_bytes: int | None) -> None:
        if self._meters is not None:
            self._meters.completed(seconds, deposit_seconds, size_in_bytes)

    def store_called(self, store: str, result: str, seconds: float, *, is_open: bool) -> None:
        if self._meters is not None:
            self._meters.store_called(store, result, seconds, is_open=is_open)


def load_meters() -> Any:
    """Import what needs prometheus_client, an optional dependency.

    :raises ModuleNotFoundError: if it is not installed.
    """
    return importlib.import_module("dserver_signed_url_plugin.metrics.meters")
