"""Measure the cost of a call: seconds, requests to the store, statements to the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dservercore import sql_db
from sqlalchemy import event

from dserver_signed_url_plugin.uris import BaseURI
from tests.support.dserver import Dserver


@dataclass
class Cost:
    """The cost of one call."""

    seconds: float = 0.0
    requests: int = 0
    statements: int = 0


@contextmanager
def counted(dserver: Dserver) -> Iterator[Cost]:
    """Measure the ``with`` block, in all threads."""
    cost, lock = Cost(), threading.Lock()

    def request(**_: Any) -> None:
        with lock:
            cost.requests += 1

    def statement(*_: Any) -> None:
        with lock:
            cost.statements += 1

    with dserver.app.app_context():
        engine = sql_db.engine
    lifecycle = dserver.services.storages.lifecycle(BaseURI.parse(dserver.base_uri))
    asked = [each._s3._client.meta.events for each in (dserver.storage.uploads, lifecycle)]
    for events in asked:
        events.register("before-send.s3", request)
    event.listen(engine, "before_cursor_execute", statement)
    started = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - started
        event.remove(engine, "before_cursor_execute", statement)
        for events in asked:
            events.unregister("before-send.s3", request)
