"""The base class of every error of this plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class SignedURLError(Exception):
    """Base of every error of this plugin.

    ``status`` is the HTTP status, ``slug`` names the error for programs, and ``sentence`` is the
    template of its message. ``retry_after`` is the number of seconds after which a repetition may
    succeed; None where it does not pass by itself.
    """

    status: int = 500
    slug: ClassVar[str] = "error"
    sentence: ClassVar[str] = ""
    retry_after: int | None = None

    @property
    def message(self) -> str:
        """One sentence or two for the caller."""
        return self.sentence.format(self=self)

    @property
    def details(self) -> Mapping[str, Any]:
        """Facts for programs, beside the slug in ``errors`` of the envelope."""
        return {}

    def __str__(self) -> str:
        return self.message
