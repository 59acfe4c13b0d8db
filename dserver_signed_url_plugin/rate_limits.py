"""How often one person, or one address, may ask: counted in memory, or in a Redis that is shared.

Knows the library that counts; never waits for a Redis that is away.
"""

from __future__ import annotations

import logging
import time

from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError as LimitsError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import ConfigurationError, TooManyRequests

logger = logging.getLogger(__name__)

# Seconds: as long as a request may wait for Redis, and as long as one that failed is not asked.
PATIENCE = 0.5
PAUSE = 30.0


class RateLimits:
    """Counts requests; off without ``SIGNED_URL_RATE_LIMIT``."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        :raises ConfigurationError: naming the variable that is wrong.
        """
        self._limits = _parsed(settings.rate_limit)
        self._shared = None
        if self._limits and settings.rate_limit_storage is not None:
            self._shared = _storage(settings.rate_limit_storage)
        self._here = FixedWindowRateLimiter(MemoryStorage())
        self._away_until = 0.0

    def check_person(self, username: str) -> None:
        """Count a request of a person.

        :raises TooManyRequests: if there were too many.
        """
        self._check("person", username, "You")

    def check_address(self, address: str | None) -> None:
        """Count a request without a valid token.

        :raises TooManyRequests: if there were too many.
        """
        self._check("address", address or "", f"Without a valid token, {address}")

    def _check(self, kind: str, name: str, sender: str) -> None:
        for limit in self._limits:
            seconds = self._seconds_over(limit, kind, name)
            if seconds is not None:
                raise TooManyRequests(sender, str(limit), seconds)

    def _seconds_over(self, limit: RateLimitItem, kind: str, name: str) -> int | None:
        """Count one; return how long to wait if it was too many."""
        shared = self._shared
        if shared is not None and time.monotonic() >= self._away_until:
            try:
                return _counted(FixedWindowRateLimiter(shared), limit, kind, name)
            except shared.base_exceptions as error:
                self._away_until = time.monotonic() + PAUSE
                logger.warning(
                    "SIGNED_URL_RATE_LIMIT_STORAGE is away (%s): counting in memory for %d s.",
                    type(error).__name__,
                    PAUSE,
                )
        return _counted(self._here, limit, kind, name)


def _counted(
    counter: FixedWindowRateLimiter, limit: RateLimitItem, kind: str, name: str
) -> int | None:
    if counter.hit(limit, "dserver-signed-url", kind, name):
        return None
    ends = counter.get_window_stats(limit, "dserver-signed-url", kind, name).reset_time
    return max(1, round(ends - time.time() + 0.5))


def _parsed(text: str | None) -> list[RateLimitItem]:
    try:
        found = parse_many(text) if text else []
        if any(limit.amount < 1 for limit in found):
            raise ValueError(text)
        return found
    except ValueError as error:
        raise ConfigurationError(
            "SIGNED_URL_RATE_LIMIT", f"must read like 600 per minute, not {text!r}."
        ) from error


def _storage(address: str) -> Storage:
    is_redis = address.startswith(("redis://", "rediss://", "unix://"))
    options: dict[str, float | str | bool] = (
        {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE} if is_redis else {}
    )
    try:
        found = storage_from_string(address, **options)
    except (LimitsError, ValueError) as error:
        # The address, which may hold a password, is not repeated.
        raise ConfigurationError(
            "SIGNED_URL_RATE_LIMIT_STORAGE",
            "must be the address of a Redis, such as "
            "redis://redis:6379/0, and needs the extra `redis` of this plugin.",
        ) from error
    assert isinstance(found, Storage)  # noqa: S101 (of what is not asynchronous)
    return found
