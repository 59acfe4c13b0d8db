"""A request that sleeps on its way to the store, and what happens meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from dservercore import sql_db
from sqlalchemy import update

from dserver_signed_url_plugin.uploads.models import PendingUpload
from tests.support.dserver import Dserver, Person
from tests.support.proxy import Request


class Sleep:
    """The first request that fits sleeps while something happens; every other one passes."""

    def __init__(self, fits: Callable[[Request], bool], meanwhile: Callable[[], Any]) -> None:
        self._fits, self._meanwhile = fits, meanwhile
        self._first = threading.Lock()
        self._outcome: Future[Any] | None = None

    def __call__(self, request: Request) -> None:
        if self._fits(request) and self._first.acquire(blocking=False):
            with ThreadPoolExecutor(1) as pool:
                self._outcome = pool.submit(self._meanwhile)

    @property
    def happened(self) -> bool:
        return self._outcome is not None

    @property
    def outcome(self) -> Any:
        """What came of what happened meanwhile, or its error."""
        assert self._outcome is not None
        return self._outcome.result(timeout=0)


def at_request(number: int) -> Callable[[Request], bool]:
    return lambda request: request.number == number


def another(dserver: Dserver) -> Person:
    """Return alice once more, as another worker would answer her."""
    return Person(dserver.app, dserver.tokens["alice"])


def lose_leases(dserver: Dserver) -> None:
    """Let anybody take over, as after ten seconds without a sign of life."""
    with dserver.app.app_context():
        sql_db.session.execute(update(PendingUpload).values(lease=None, lease_ends=None))
        sql_db.session.commit()
