"""The observer that counts in the metrics of its process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dserver_signed_url_plugin.observer import Answer, Observer

if TYPE_CHECKING:
    from dserver_signed_url_plugin.metrics.process_metrics import ProcessMetrics


class Counting(Observer):
    """Counts in the metrics of this process.

    These are made with the first request. So a command, which serves none, writes nothing into the
    files that worker processes share, and forked workers have files of their own.

    :raises ModuleNotFoundError: if prometheus_client, an optional dependency, is not installed.
    """

    def __init__(self) -> None:
        from dserver_signed_url_plugin.metrics.process_metrics import (  # noqa: PLC0415 (see above)
            ProcessMetrics,
        )

        self._make_metrics = ProcessMetrics
        self._lock = threading.Lock()
        self._metrics: ProcessMetrics | None = None

    def metrics(self) -> ProcessMetrics:
        """Return the metrics of this process."""
        with self._lock:
            if self._metrics is None:
                self._metrics = self._make_metrics()
            return self._metrics

    def request_began(self) -> None:
        self.metrics()

    def answered(self, answer: Answer) -> None:
        self.metrics().answered(answer)

    def completed(self, seconds: float, deposit_seconds: float, size_in_bytes: int | None) -> None:
        if self._metrics is not None:
            self._metrics.completed(seconds, deposit_seconds, size_in_bytes)

    def store_called(self, store: str, result: str, seconds: float, *, is_open: bool) -> None:
        if self._metrics is not None:
            self._metrics.store_called(store, result, seconds, is_open=is_open)
