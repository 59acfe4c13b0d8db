"""One answer of a store that is asked for often and changes seldom: kept for a while.

What was kept may be as old as that; whoever must know better asks anew. A failure is kept, too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import Context
from time import monotonic
from typing import Generic, TypeVar

from dserver_signed_url_plugin.errors import SignedURLError, StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline

logger = logging.getLogger(__name__)

SECONDS = 60.0
# How long whoever can do without the answer waits for it, and for how long the store is asked.
_SOON, _ASKED = 1.0, 10.0

Answer = TypeVar("Answer")


class CachedAnswer(Generic[Answer]):
    """An answer, and when it was given; safe to share between threads.

    :param ask: asks the store; raises a SignedURLError.
    """

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._kept: Future[Answer] | None = None
        self._kept_at = 0.0
        self._asking: Future[Answer] | None = None
        self._asked_at = 0.0

    def anew(self) -> Answer:
        """Ask the store, whatever it has said before."""
        answer: Future[Answer] = Future()
        self._fill(answer)
        return _result(answer)

    def soon(self) -> Answer:
        """Return what the store has said in the last minute, or else in a second from now.

        If it says nothing by then, what it said before; it is asked by one thread at a time, which
        goes on.

        :raises StorageAway: if there is nothing.
        """
        with self._lock:
            if self._kept is not None and monotonic() - self._kept_at < SECONDS:
                return _result(self._kept)
            if self._asking is None:
                self._asking, self._asked_at = Future(), monotonic()
                # In no one's context: the answer is for all who wait, whatever becomes of one.
                thread = threading.Thread(
                    target=Context().run, args=(self._ask_apart, self._asking), daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    self._asking = None
                    raise StorageAway(
                        "The server", "has no thread left to ask the store"
                    ) from error
            asking, asked_at = self._asking, self._asked_at
        wait([asking], max(0.0, asked_at + _SOON - monotonic()))
        if asking.done():
            return _result(asking)
        if self._kept is not None:
            return _result(self._kept)
        raise StorageAway("The store", "does not answer quickly")

    def _ask_apart(self, answer: Future[Answer]) -> None:
        with deadline.under(Deadline(_ASKED)):
            self._fill(answer)
        with self._lock:
            self._asking = None

    def _fill(self, answer: Future[Answer]) -> None:
        begun = monotonic()
        try:
            answer.set_result(self._ask())
        except SignedURLError as error:
            answer.set_exception(error)
        except Exception as error:  # noqa: BLE001 (whoever waits must hear of it, in any thread)
            logger.error("What a store said could not be read: %s", type(error).__name__)
            answer.set_exception(
                StorageUnavailable("The store", "gave an answer that cannot be read")
            )
        with self._lock:
            # Not if what was asked for later is here already.
            if begun >= self._kept_at:
                self._kept, self._kept_at = answer, begun


def _result(answer: Future[Answer]) -> Answer:
    error = answer.exception()
    if error is not None:
        # Raised again and again it would hold on to all who raised it.
        raise error.with_traceback(None)
    return answer.result()
