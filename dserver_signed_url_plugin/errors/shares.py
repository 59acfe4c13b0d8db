"""Shares that do not exist, have ended, or cannot be created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dserver_signed_url_plugin.errors.base import SignedURLError


class ShareNotFound(SignedURLError):
    """There is no such share, or it is another user's."""

    status, slug = 404, "share-not-found"
    sentence = "There is no such share; check that the link or the ID is complete."


@dataclass(eq=False)
class ShareEnded(SignedURLError):
    """The link of a share works no longer.

    ``reason`` is one of ``expired``, ``revoked``, ``used-up`` and ``unavailable``.
    """

    status, slug = 410, "share-ended"
    sentence = "This link {self.explanation}; ask whoever sent it for a new one."

    EXPLANATIONS: ClassVar[Mapping[str, str]] = {
        "expired": "has expired",
        "revoked": "was revoked",
        "used-up": "was used for as many downloads as it allows",
        "unavailable": "leads to data that are not available any more",
    }

    reason: str

    @property
    def explanation(self) -> str:
        """The reason in words."""
        return self.EXPLANATIONS[self.reason]

    @property
    def details(self) -> Mapping[str, Any]:
        return {"reason": self.reason}


@dataclass(eq=False)
class TooManyShares(SignedURLError):
    """The user has as many shares that still work as the server allows."""

    status, slug = 409, "too-many-shares"
    sentence = (
        "You have {self.limit} shares that still work, which is as many as this server allows "
        "(SIGNED_URL_MAX_SHARES): revoke some of them."
    )

    limit: int
