"""The storage of one Azure account, as tests of it ask for it, and all that the account holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.storage.blob import BlockBlobService, Include

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.azure import AzureStorage
from dserver_signed_url_plugin.uris import BaseURI
from tests.dserver import Account, in_capitals

BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


def storage_of(account: Account, more: Mapping[str, str] | None = None) -> AzureStorage:
    """Return the storage of an account, with settings as Flask's config has them."""
    config = {**in_capitals(account.settings()), **(more or {})}
    return AzureStorage(BaseURI.parse(account.base_uri), Settings.load(config, {}))


def everything_in(blobs: BlockBlobService) -> dict[str, Any]:
    """Return each container's metadata, and each blob's MD5, metadata and uncommitted bytes."""
    found: dict[str, Any] = {
        container.name: container.metadata
        for container in blobs.list_containers(include_metadata=True)
    }
    parts = Include(metadata=True, uncommitted_blobs=True)
    for container in list(found):
        for blob in blobs.list_blobs(container, include=parts):
            waiting = blobs.get_block_list(container, blob.name, block_list_type="uncommitted")
            sizes = [block.size for block in waiting.uncommitted_blocks]
            md5 = blob.properties.content_settings.content_md5
            found[f"{container}/{blob.name}"] = (md5, blob.metadata, sizes)
    return found
