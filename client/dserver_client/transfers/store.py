"""PUT to a signed URL, and interpret the response: stored, expired or refused."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import datetime, timezone

from dserver_client.errors import StoreRefused, Unavailable
from dserver_client.http import HTTP, Body
from dserver_client.store_answers import code, is_of_store
from dserver_client.transfers.scheduler import Limit

# Expired or signed for something else (401, 403, 410, 400), gone (404: the parts of an item), or
# stored already (403, 409, 412: Azure does not replace what is there).
_SIGN_ANEW = frozenset({400, 401, 403, 404, 409, 410, 412})
# S3 and Azure, for a body that does not have the MD5 of Content-MD5.
_WRONG_BYTES = frozenset({"BadDigest", "InvalidDigest", "Md5Mismatch"})

# Seconds before its end from which a URL is not used.
_MARGIN = 10.0


class SignAnew(Exception):
    """The URL does not work, or no more; ``reason`` is what the store says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def is_of_bytes(self) -> bool:
        """Whether the body had another MD5 than the URL is for."""
        return not _WRONG_BYTES.isdisjoint(self.reason.split())


class Store:
    """PUTs to signed URLs. Threads share one."""

    def __init__(self, http: HTTP, limit: Limit) -> None:
        self._http, self._limit = http, limit

    def put(
        self, url: str, headers: Mapping[str, str], body: Body, size_in_bytes: int, what: str
    ) -> None:
        """PUT a body, and return when it is stored.

        :param what: how messages name it.
        :raises SignAnew: if the URL is to be signed anew before it is sent again.
        :raises StoreRefused: if that would not help.
        :raises Unavailable: if the store does not answer, or not as a store does.
        """
        response = self._http.request(
            "PUT",
            url,
            headers=headers,
            body=body,
            size_in_bytes=size_in_bytes,
            pause=self._pause,
        )
        if response.status in (200, 201):
            if is_of_store(response):
                return
            raise SignAnew(f"{response.status} that no store sends, but something in between")
        reason = f"{response.status} {code(response)}".rstrip()
        if response.status in _SIGN_ANEW:
            raise SignAnew(reason)
        if response.status >= 500 or response.status in (408, 429):
            raise Unavailable(f"The store failed to take {what}: {reason}.")
        raise StoreRefused(f"The store refuses {what}: {reason}.")

    def _pause(self, seconds: float) -> None:
        """Wait before another attempt, with fewer connections."""
        self._limit.slow_down()
        self._limit.pause(seconds)


def usable_until(expires: datetime) -> float:
    """Return until when URLs that expire then (UTC) are used, by the monotonic clock.

    URLs that work for seconds only are used until the store refuses them.
    """
    seconds = (expires - datetime.now(timezone.utc)).total_seconds()
    return math.inf if seconds <= 2 * _MARGIN else time.monotonic() + seconds - _MARGIN
