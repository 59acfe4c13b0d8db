"""The metrics that each process counts, with bounded labels and without secrets.

The only module that needs prometheus_client. Its multi-process mode (``PROMETHEUS_MULTIPROC_DIR``)
keeps the values of all worker processes in files of one directory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from dserver_signed_url_plugin.observer import Answer

if TYPE_CHECKING:
    from dserver_signed_url_plugin.metrics.database_gauges import DatabaseGauge

PREFIX = "dserver_signed_url"
UNKNOWN, OTHER = "unknown", "other"
# An admin may add any number of base URIs: those above this limit count as one.
MAX_STORES = 100
MAX_SCHEMES = 10

# By route, in which direction the items go for which it grants signed URLs.
DIRECTIONS = {
    "read-dataset": "read",
    "read-items": "read",
    "read-item": "read",
    "share-download": "read",
    "share-preview": "read",
    "upload-begin": "write",
    "upload-status": "write",
    "upload-parts": "write",
}

# By name without prefix: the description, and the labels.
_COUNTERS: Mapping[str, tuple[str, Sequence[str]]] = {
    "requests": (
        "Requests, by route, class of the HTTP status, and slug of the error.",
        ["route", "status", "slug"],
    ),
    "granted_items": ("Items for which signed URLs were granted.", ["direction", "scheme"]),
    "granted_bytes": (
        "Bytes of the items for which signed URLs were granted, where they are known.",
        ["direction", "scheme"],
    ),
    "deposited_bytes": ("Bytes of completed uploads.", []),
    "store_calls": (
        "Calls to a store: ok, failed, or refused because it does not answer.",
        ["store", "result"],
    ),
}
# The description, the labels, and the upper bounds of the buckets.
_HISTOGRAMS: Mapping[str, tuple[str, Sequence[str], Sequence[float]]] = {
    "request_seconds": (
        "Seconds until the answer to a request began to be sent.",
        ["route", "status"],
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
    ),
    "completion_seconds": (
        "Seconds of the requests that completed an upload.",
        [],
        (0.1, 0.5, 1, 5, 15, 60, 300, 900),
    ),
    "deposit_seconds": (
        "Seconds from the announcement of an upload to its registration.",
        [],
        (1, 10, 60, 600, 3600, 21_600, 86_400, 604_800),
    ),
    "store_seconds": (
        "Seconds that a call to a store took, of one request to it or several.",
        ["store"],
        (0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30),
    ),
}


class Bounded:
    """The values of a label: the first so many, and one for all others."""

    def __init__(self, most: int) -> None:
        self._most, self._known = most, set[str]()
        self._lock = threading.Lock()

    def of(self, value: str) -> str:
        """Return the value, or ``other``."""
        if value in self._known:
            return value
        with self._lock:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class ProcessMetrics:
    """The metrics of one process, or of all that share a directory."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._stores, self._schemes = Bounded(MAX_STORES), Bounded(MAX_SCHEMES)
        self._counters = {
            name: Counter(f"{PREFIX}_{name}", description, labels, registry=registry)
            for name, (description, labels) in _COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(
                f"{PREFIX}_{name}", description, labels, buckets=buckets, registry=registry
            )
            for name, (description, labels, buckets) in _HISTOGRAMS.items()
        }
        self._open_breakers = Gauge(
            f"{PREFIX}_store_breakers_open",
            "Worker processes that refuse calls to a store because it does not answer.",
            ["store"],
            multiprocess_mode="livesum",
            registry=registry,
        )

    def answered(self, answer: Answer) -> None:
        """Count a request, and what it was granted."""
        route, status = answer.route or UNKNOWN, f"{answer.status // 100}xx"
        self._counters["requests"].labels(route, status, answer.slug or "").inc()
        self._histograms["request_seconds"].labels(route, status).observe(answer.seconds)
        direction = DIRECTIONS.get(route)
        if direction is None or not answer.items:
            return
        scheme = self._schemes.of(answer.uri.partition(":")[0])
        self._counters["granted_items"].labels(direction, scheme).inc(answer.items)
        self._counters["granted_bytes"].labels(direction, scheme).inc(answer.size_in_bytes or 0)

    def completed(self, seconds: float, deposit_seconds: float, size_in_bytes: int | None) -> None:
        """Count a completed upload."""
        self._histograms["completion_seconds"].observe(seconds)
        self._histograms["deposit_seconds"].observe(max(0.0, deposit_seconds))
        self._counters["deposited_bytes"].inc(size_in_bytes or 0)

    def store_called(self, store: str, result: str, seconds: float, *, is_open: bool) -> None:
        """Count a call to a store; the state of its circuit breaker is that of now."""
        store = self._stores.of(store)
        self._counters["store_calls"].labels(store, result).inc()
        self._histograms["store_seconds"].labels(store).observe(seconds)
        self._open_breakers.labels(store).set(is_open)

    def exposition(self, gauges: Iterable[DatabaseGauge], directory: str | None) -> bytes:
        """Return these metrics of all processes, and gauges, in Prometheus' text format.

        :param directory: that of the multi-process mode; None without it.
        """
        counted: Collector = self._registry
        if directory:
            counted = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]
        return generate_latest(_Combined(counted, gauges))


class _Combined(CollectorRegistry):
    """The metrics of processes, and the gauges of the database."""

    def __init__(self, counted: Collector, gauges: Iterable[DatabaseGauge]) -> None:
        super().__init__()
        self._counted, self._gauges = counted, gauges

    def collect(self) -> Iterable[Metric]:
        yield from self._counted.collect()
        for gauge in self._gauges:
            family = GaugeMetricFamily(
                f"{PREFIX}_{gauge.name}", gauge.description, labels=gauge.labels
            )
            for values, value in gauge.samples:
                family.add_metric(values, value)
            yield family
