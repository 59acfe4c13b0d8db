"""Rate limits per user and per address, counted in memory or in a Redis that servers share.

If Redis is not available, requests are counted in memory in the meantime.
"""

from __future__ import annotations

import logging
import time

from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError as LimitsError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from dserver_signed_url_plugin.client_networks import network_of
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import ConfigurationError, TooManyRequests

logger = logging.getLogger(__name__)

# In seconds: the timeout of Redis, and the time for which it is not used after a failure.
REDIS_TIMEOUT = 0.5
REDIS_PAUSE = 30.0
_SCHEMES = ("redis://", "rediss://", "redis+unix://", "unix://")
_YEAR = 31_536_000  # seconds


class RateLimits:
    """Counts requests against ``SIGNED_URL_RATE_LIMIT``; without this setting, allows all.

    The addresses of one IPv6 network are counted as one.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        :raises ConfigurationError: if a setting is invalid.
        """
        self._limits = _parse(settings.rate_limit)
        self._shared = None
        if self._limits and settings.rate_limit_storage is not None:
            self._shared = _storage(settings.rate_limit_storage)
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._paused_until = 0.0

    def check_user(self, username: str) -> None:
        """Count a request of a user.

        :raises TooManyRequests: if the user has exceeded a limit.
        """
        self._check("person", username, "You")

    def check_address(self, address: str | None) -> None:
        """Count a request without a valid token.

        :raises TooManyRequests: if the address has exceeded a limit.
        """
        network = network_of(address)
        self._check("address", network, f"Without a valid token, {network}")

    def check_visitor(self, address: str | None, share_id: str) -> None:
        """Count a request with the link of a share; others of the same address may go on.

        :raises TooManyRequests: if the address has exceeded a limit for this share.
        """
        network = network_of(address)
        self._check("visitor", f"{share_id} {network}", f"With this link, {network}")

    def _check(self, kind: str, name: str, sender: str) -> None:
        for limit in self._limits:
            seconds = self._hit(limit, kind, name)
            if seconds is not None:
                raise TooManyRequests(sender, str(limit), seconds)

    def _hit(self, limit: RateLimitItem, kind: str, name: str) -> int | None:
        """Count a request; return the seconds to wait if it exceeds the limit, else None."""
        shared = self._shared
        if shared is not None and time.monotonic() >= self._paused_until:
            try:
                return _count(FixedWindowRateLimiter(shared), limit, kind, name)
            except shared.base_exceptions as error:
                self._paused_until = time.monotonic() + REDIS_PAUSE
                logger.warning(
                    "SIGNED_URL_RATE_LIMIT_STORAGE is not available (%s): requests are counted in "
                    "memory for %d s.",
                    type(error).__name__,
                    REDIS_PAUSE,
                )
        return _count(self._local, limit, kind, name)


def _count(
    counter: FixedWindowRateLimiter, limit: RateLimitItem, kind: str, name: str
) -> int | None:
    if counter.hit(limit, "dserver-signed-url", kind, name):
        return None
    ends = counter.get_window_stats(limit, "dserver-signed-url", kind, name).reset_time
    return max(1, round(ends - time.time() + 0.5))


def _parse(text: str | None) -> list[RateLimitItem]:
    try:
        limits = parse_many(text) if text else []
        if any(limit.amount < 1 or limit.get_expiry() > _YEAR for limit in limits):
            raise ValueError(text)
        return limits
    except ValueError as error:
        raise ConfigurationError(
            "SIGNED_URL_RATE_LIMIT",
            f"must read like 600 per minute, a year at most, not {text!r}.",
        ) from error


def _storage(address: str) -> RedisStorage:
    try:
        # Other storages of this library take no time limit, or not for every connection, or connect
        # when they are created.
        if not address.startswith(_SCHEMES):
            raise ValueError
        return RedisStorage(
            address, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT
        )
    except (LimitsError, ValueError) as error:
        # Without the address, because it may contain a password.
        raise ConfigurationError(
            "SIGNED_URL_RATE_LIMIT_STORAGE",
            "must be the address of one Redis server (no cluster, no Sentinel), such as "
            "redis://redis:6379/0, and needs the extra `redis` of this plugin.",
        ) from error
