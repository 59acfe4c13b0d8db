"""The protocol by which transfers report progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What deposits and fetches call, from any thread.

    All methods return at once. Bytes that have to be sent again are taken back by a negative
    ``advance``.
    """

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        """Begin a phase: ``"hash"``, ``"send"``, ``"fetch"``, ``"check"`` or ``"complete"``."""

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        """Add bytes and whole items that are done."""

    def finish(self) -> None:
        """End the phase, also after an error."""


class NoProgress:
    """For callers that do not want to know."""

    def start(self, phase: str, size_in_bytes: int | None, items: int | None) -> None:
        """Do nothing."""

    def advance(self, size_in_bytes: int, items: int = 0) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
