"""The Azure SDK's client of an account, to look behind the scenes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from azure.storage.blob import BlockBlobService
from azure.storage.common.retry import no_retry

from tests.support.dserver import Account


def blob_service(account: Account) -> BlockBlobService:
    """Return a client that fails at once, and leaves proxies alone."""
    service = BlockBlobService(account.name, account.key, custom_domain=account.endpoint)
    service.request_session.trust_env = False
    service.retry = no_retry
    return service


class AsAzure(BlockBlobService):
    """Reads listings as Azure's, which has an empty Metadata where Azurite has none."""

    def list_blobs(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        for blob in super().list_blobs(*arguments, **options):
            blob.metadata = blob.metadata or {}
            yield blob

    def list_containers(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        for container in super().list_containers(*arguments, **options):
            container.metadata = container.metadata or {}
            yield container


def as_azure(account: Account) -> BlockBlobService:
    """Return a client with which dtool can freeze what it wrote itself."""
    service = blob_service(account)
    service.__class__ = AsAzure
    return service
