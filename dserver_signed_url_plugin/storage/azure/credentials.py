"""What authorizes the requests to an account, and what signs its URLs: a key, or Entra ID.

With Entra ID the server has no account key. Its requests carry a token, and the store makes it a
user delegation key, which signs URLs for up to a week.

Source: Microsoft, "Get User Delegation Key",
https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Protocol

from dserver_signed_url_plugin.errors import SigningUnsupported
from dserver_signed_url_plugin.storage.azure.sas import DelegationKey
from dserver_signed_url_plugin.storage.azure.service import Authorizer
from dserver_signed_url_plugin.storage.azure.xml_documents import parsed, written
from dserver_signed_url_plugin.storage.waiting import locked

# The most is a week. It begins earlier than now, for a store whose clock is behind the server's.
_EARLIER = timedelta(minutes=15)
_LIFETIME = timedelta(days=7) - _EARLIER
# A key is replaced so often, so that URLs can live for nearly a week, and one that an administrator
# has revoked is not used for long.
_RENEWED_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class SigningKey:
    """What signs URLs: an account's key, decoded, or a delegation; and when it ends (UTC)."""

    key: bytes | DelegationKey = field(repr=False)
    ends: datetime | None = None


class SigningKeys(Protocol):
    """Gives the key that signs URLs at the moment."""

    def current(self) -> SigningKey:
        """Return the key."""


class AccountKey:
    """The key of an account, which does not end."""

    def __init__(self, key: bytes) -> None:
        self._key = SigningKey(key)

    def current(self) -> SigningKey:
        """Return the key."""
        return self._key


class DelegationKeys:
    """Keeps a user delegation key of an account; safe to share between threads.

    :param request: sends a document to the store in exchange for a key.
    """

    def __init__(
        self,
        request: Callable[[bytes], SigningKey],
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._request, self._clock = request, clock
        self._lock = threading.Lock()
        self._kept: tuple[SigningKey, datetime] | None = None

    def current(self) -> SigningKey:
        """Return the key, which is requested at first and then once in an hour."""
        with locked(self._lock):
            now = self._clock().replace(microsecond=0)
            if self._kept is None or self._kept[1] <= now:
                key, renewed_at = self._requested(now), now + _RENEWED_AFTER
                self._kept = key, renewed_at if key.ends is None else min(renewed_at, key.ends)
            return self._kept[0]

    def _requested(self, now: datetime) -> SigningKey:
        times = {"Start": now - _EARLIER, "Expiry": now + _LIFETIME}
        named = [(name, time.strftime("%Y-%m-%dT%H:%M:%SZ")) for name, time in times.items()]
        return self._request(written("KeyInfo", named))


def delegation(document: bytes) -> SigningKey:
    """Parse a response of Get User Delegation Key.

    :raises ValueError: if it is another document, or a value is missing or invalid.
    """
    root = parsed(document, "UserDelegationKey")
    names = ("Oid", "Tid", "Start", "Expiry", "Service", "Version")
    values = [root.findtext(f"Signed{name}", "") for name in names]
    key = base64.b64decode(root.findtext("Value", ""), validate=True)
    # They are signed as lines.
    if not key or not all(value.isprintable() and value for value in values):
        raise ValueError("no user delegation key")
    ends = datetime.fromisoformat(values[names.index("Expiry")].replace("Z", "+00:00"))
    return SigningKey(DelegationKey(key, *values), ends.astimezone(timezone.utc))


def entra_tokens(account: str) -> Authorizer:
    """Return what authorizes requests to an account by Entra ID.

    :raises SigningUnsupported: if the extra is not installed.
    """
    try:
        # Only this needs the extra, whose import takes a second.
        from dserver_signed_url_plugin.storage.azure.entra_id import EntraTokens  # noqa: PLC0415
    except ImportError as error:
        if str(error.name).partition(".")[0] != "azure":
            raise
        raise SigningUnsupported(
            "Azure storage without an account key",
            "this server's administrator must run pip install azure-identity",
        ) from error
    return EntraTokens(account)
