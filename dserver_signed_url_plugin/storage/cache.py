"""A cache for one answer of a store that is needed often and changes rarely.

Answers are at most a minute old, unless the store does not respond. Errors are cached, too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import Context
from time import monotonic
from typing import Generic, TypeVar

from dserver_signed_url_plugin import request_ids
from dserver_signed_url_plugin.errors import SignedURLError, StorageAway, StorageUnavailable
from dserver_signed_url_plugin.storage import deadline
from dserver_signed_url_plugin.storage.deadline import Deadline

logger = logging.getLogger(__name__)

SECONDS = 60.0
# In seconds: how long a caller waits for a new answer, and how long the request may take.
_CALLER_TIMEOUT, _REQUEST_TIMEOUT = 1.0, 10.0

Answer = TypeVar("Answer")


class CachedAnswer(Generic[Answer]):
    """A cached answer; safe to share between threads.

    :param ask: requests the answer from the store; raises a SignedURLError.
    """

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._kept: Future[Answer] | None = None
        self._kept_at = 0.0
        self._pending: Future[Answer] | None = None
        self._requested_at = 0.0

    def refresh(self) -> Answer:
        """Request a new answer from the store."""
        answer: Future[Answer] = Future()
        self._fill(answer)
        return _result(answer)

    def get(self) -> Answer:
        """Return an answer of the last minute, or a new one if it arrives within a second.

        If not, return the last answer, however old. One thread at a time requests a new one, and
        continues when the callers have returned.

        :raises StorageAway: if there is no answer at all.
        """
        with self._lock:
            if self._kept is not None and monotonic() - self._kept_at < SECONDS:
                return _result(self._kept)
            if self._pending is None:
                self._pending, self._requested_at = Future(), monotonic()
                # In an empty context, without the deadline of the caller: others wait for it, too.
                thread = threading.Thread(
                    target=Context().run, args=(self._ask_in_thread, self._pending), daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    self._pending = None
                    raise StorageAway(
                        "The server", "has no thread left to ask the store"
                    ) from error
            pending, requested_at = self._pending, self._requested_at
        wait([pending], max(0.0, requested_at + _CALLER_TIMEOUT - monotonic()))
        if pending.done():
            return _result(pending)
        if self._kept is not None:
            return _result(self._kept)
        raise StorageAway("The store", "does not answer quickly")

    def _ask_in_thread(self, answer: Future[Answer]) -> None:
        with deadline.under(Deadline(_REQUEST_TIMEOUT)):
            self._fill(answer)
        with self._lock:
            self._pending = None

    def _fill(self, answer: Future[Answer]) -> None:
        begun = monotonic()
        try:
            answer.set_result(self._ask())
        except SignedURLError as error:
            answer.set_exception(error)
        except Exception as error:  # noqa: BLE001 (passed on to all callers)
            kind = type(error).__name__
            logger.error(
                "The answer of a store could not be read: %s%s", kind, request_ids.suffix()
            )
            answer.set_exception(
                StorageUnavailable("The store", "gave an answer that cannot be read", int(SECONDS))
            )
        with self._lock:
            # Unless the answer to a later request is already cached.
            if begun >= self._kept_at:
                self._kept, self._kept_at = answer, begun


def _result(answer: Future[Answer]) -> Answer:
    error = answer.exception()
    if error is not None:
        # Raising one exception several times would extend its traceback each time.
        raise error.with_traceback(None)
    return answer.result()
