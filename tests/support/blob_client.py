"""The Azure SDK's client of an account, to look behind the scenes."""

from __future__ import annotations

from azure.storage.blob import BlockBlobService
from azure.storage.common.retry import no_retry

from tests.support.dserver import Account


def blob_service(account: Account) -> BlockBlobService:
    """Return a client that fails at once, and leaves proxies alone."""
    service = BlockBlobService(account.name, account.key, custom_domain=account.endpoint)
    service.request_session.trust_env = False
    service.retry = no_retry
    return service
