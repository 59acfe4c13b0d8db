"""The storage of one Azure account, as tests of it ask for it, and all that the account holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.storage.blob import BlockBlobService

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.azure import azure_storage
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.uris import BaseURI
from tests.support.azure_holdings import containers
from tests.support.dserver import Account, in_capitals

BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


def storage_of(account: Account, more: Mapping[str, str] | None = None) -> Storage:
    """Return the storage of an account, with settings as Flask's config has them."""
    config = {**in_capitals(account.settings()), **(more or {})}
    return azure_storage(BaseURI.parse(account.base_uri), Settings.load(config, {}))


def everything_in(blobs: BlockBlobService) -> dict[str, Any]:
    """Return each container's metadata, and each blob's MD5, metadata and uncommitted bytes."""
    found: dict[str, Any] = {}
    for container, held in containers(blobs, "").items():
        found[container] = held.metadata
        for name, blob in held.blobs.items():
            waiting = blobs.get_block_list(container, name, block_list_type="uncommitted")
            sizes = [block.size for block in waiting.uncommitted_blocks]
            found[f"{container}/{name}"] = (blob.md5, blob.metadata, sizes)
    return found
