"""A request that is paused in the moment in which it takes a lease, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from dservercore import sql_db
from sqlalchemy import event

from tests.support.dserver import Dserver


class Pause:
    """What happened while the first writer of a pending upload was paused."""

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        self._meanwhile = meanwhile
        self.happened = False
        self.outcome: Any = None

    def __call__(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # Whoever works on an upload first takes its lease, which is an UPDATE.
        if self.happened or not statement.startswith("UPDATE pending_upload"):
            return
        self.happened = True
        with ThreadPoolExecutor(1) as pool:
            self.outcome = pool.submit(self._meanwhile).result()


@contextmanager
def paused(dserver: Dserver, meanwhile: Callable[[], Any]) -> Iterator[Pause]:
    """Let the first request of the block that takes a lease wait until something else is done."""
    with dserver.app.app_context():
        engine = sql_db.engine
    pause = Pause(meanwhile)
    event.listen(engine, "before_cursor_execute", pause)
    try:
        yield pause
    finally:
        event.remove(engine, "before_cursor_execute", pause)
