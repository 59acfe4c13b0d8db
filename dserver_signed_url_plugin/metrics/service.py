"""Metrics of an app, if SIGNED_URL_METRICS is set: counts events, and exposes all to Prometheus."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from dserver_signed_url_plugin import database
from dserver_signed_url_plugin.audit.service import Audit
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import ConfigurationError, DatabaseBusy, RouteNotFound
from dserver_signed_url_plugin.metrics import database_gauges
from dserver_signed_url_plugin.metrics.counting import Counting
from dserver_signed_url_plugin.metrics.database_gauges import DatabaseGauge
from dserver_signed_url_plugin.observer import Observer
from dserver_signed_url_plugin.shared_result import SharedResult

logger = logging.getLogger(__name__)

SETTING, DIRECTORY = "SIGNED_URL_METRICS", "PROMETHEUS_MULTIPROC_DIR"
# In seconds: how long a scrape waits for the database, and how long its gauges are shown again.
_TIMEOUT, _MAX_AGE = 1.0, 5.0


class Metrics:
    """The metrics of an app; off unless ``SIGNED_URL_METRICS`` is set."""

    def __init__(self, settings: Settings, audit: Audit) -> None:
        """Check what metrics need.

        :raises ConfigurationError: if something is missing; the message says what.
        """
        self._audit = audit
        self._gauges: SharedResult[Sequence[DatabaseGauge]] = SharedResult(
            timeout=_TIMEOUT, max_age=_MAX_AGE
        )
        self._counting = _counting() if settings.metrics else None

    @property
    def observer(self) -> Observer:
        """The observer for routes and services to call."""
        return self._counting or Observer()

    def exposition(self, app_context: Callable[[], AbstractContextManager[Any]]) -> bytes:
        """Return all metrics in Prometheus' text format, within about a second.

        :param app_context: of the app, for the thread that reads its database.
        :raises RouteNotFound: if metrics are off.
        """
        if self._counting is None:
            raise RouteNotFound

        def read() -> Sequence[DatabaseGauge]:
            database.limit_request()
            with app_context():
                return database_gauges.read(self._audit)

        try:
            found = self._gauges.of(read)
        except (DatabaseBusy, TimeoutError):
            found = database_gauges.unavailable()
        return self._counting.metrics().exposition(found, os.environ.get(DIRECTORY))


def _is_writable(directory: str) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def _counting() -> Counting:
    directory = os.environ.get(DIRECTORY)
    if DIRECTORY.lower() in os.environ:
        raise ConfigurationError(DIRECTORY.lower(), f"is spelled {DIRECTORY}.")
    # prometheus_client would write into the current directory if it is empty.
    if directory is not None and not _is_writable(directory):
        raise ConfigurationError(
            DIRECTORY, f"must name a directory in which dserver can write, not {directory!r}."
        )
    if not directory and os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        logger.warning(
            "%s is not set: if gunicorn runs several workers, each of them shows its own metrics "
            "only. Set it to an empty directory in which they can write.",
            DIRECTORY,
        )
    try:
        return Counting()
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            SETTING,
            "needs prometheus_client: install the extra `metrics` of this plugin, or leave it out.",
        ) from error
