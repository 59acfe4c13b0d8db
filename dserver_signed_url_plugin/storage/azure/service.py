"""The SDK's client of one account: connections that keep the call's deadline, and few retries."""

from __future__ import annotations

import logging
from typing import Any

import requests
from azure.storage.blob import BlockBlobService
from azure.storage.common.models import RetryContext
from azure.storage.common.retry import LinearRetry

from dserver_signed_url_plugin.storage.azure.account import ConfiguredAccount
from dserver_signed_url_plugin.storage.azure.response_checks import CheckingAdapter
from dserver_signed_url_plugin.storage.http_sockets import POOLS
from dserver_signed_url_plugin.storage.parallel import PARALLEL

# The SDK logs, as errors, every answer that is not a success, and with a refusal what was signed.
logging.getLogger("azure.storage.common.storageclient").setLevel(logging.CRITICAL + 1)
logging.getLogger("azure.storage.common._auth").setLevel(logging.CRITICAL + 1)

# Of the interface; the SDK's own is 2019-02-02.
_VERSION = "2019-12-12"
# One retry, and short times in seconds (to connect, to answer), because a person waits.
_TIMEOUTS = (5, 15)
_RETRY_ONCE = LinearRetry(backoff=0.2, max_attempts=1, random_jitter_range=0.1)


class _DeadlineAdapter(CheckingAdapter):
    """Makes connections that keep the call's deadline."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager


def make_service(account: ConfiguredAccount) -> BlockBlobService:
    """Return a client of an account, at the server's address for it."""
    session = requests.Session()
    adapter = _DeadlineAdapter(pool_maxsize=2 * PARALLEL)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.hooks["response"] += [_lower_header_names, _keep_encoding]
    service = BlockBlobService(
        account.name,
        account.key,
        custom_domain=account.inside,
        request_session=session,
        socket_timeout=_TIMEOUTS,
    )
    service.retry = _retry
    # Private, but it is what takes blocks of more than 100 MiB; the SDK is pinned.
    service._X_MS_VERSION = _VERSION
    return service


def _lower_header_names(response: requests.Response, **_: Any) -> None:
    """Lower the names of headers, which proxies may have changed: the SDK compares them as text."""
    lowered = {name.lower(): value for name, value in response.headers.items()}
    response.headers = requests.structures.CaseInsensitiveDict(lowered)


def _keep_encoding(response: requests.Response, **_: Any) -> None:
    """Leave the bytes of a blob as they are stored: decoded, 64 KiB could be 64 MiB."""
    if "x-ms-range" in response.request.headers:
        response.raw.headers.pop("Content-Encoding", None)


def _retry(context: RetryContext) -> float | None:
    """Return the seconds before a retry; None if the store did not answer in time."""
    if isinstance(context.exception, requests.exceptions.ReadTimeout):
        return None
    seconds: float | None = _RETRY_ONCE.retry(context)
    return seconds
