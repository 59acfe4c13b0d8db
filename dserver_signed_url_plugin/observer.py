"""The interface by which routes and services report what happened, without knowing the metrics.

``metrics.counting`` implements it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a request.

    ``route`` is the endpoint; None if no route has the URL and the method. ``status`` is the HTTP
    status, ``slug`` that of the error, and ``seconds`` passed until the answer began to be sent.
    ``uri``, ``items`` and ``size_in_bytes`` are what was granted, as in the audit.
    """

    route: str | None
    status: int
    slug: str | None
    seconds: float
    uri: str = ""
    items: int | None = None
    size_in_bytes: int | None = None


class Observer:
    """Ignores everything; subclasses count."""

    def request_began(self) -> None:
        """Note that this process serves requests, unlike a command."""

    def answered(self, answer: Answer) -> None:
        """Count a request."""

    def completed(self, seconds: float, deposit_seconds: float, size_in_bytes: int | None) -> None:
        """Count an upload that was completed and registered.

        :param seconds: of the request that completed it.
        :param deposit_seconds: since the upload was announced.
        """

    def store_called(self, store: str, result: str, seconds: float, *, is_open: bool) -> None:
        """Count a call to a store.

        :param store: its base URI.
        :param result: ``ok``, ``failed``, or ``refused`` if it was not sent.
        :param is_open: whether the store's circuit breaker is open now.
        """
