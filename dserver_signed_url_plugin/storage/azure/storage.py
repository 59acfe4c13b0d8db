"""The storage of one account, by capability."""

from __future__ import annotations

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.storage.azure.connection import AzureConnection
from dserver_signed_url_plugin.storage.azure.parts import AzureParts
from dserver_signed_url_plugin.storage.azure.reads import AzureReads
from dserver_signed_url_plugin.storage.azure.removal import AzureRemoval
from dserver_signed_url_plugin.storage.azure.uploads import AzureUploads
from dserver_signed_url_plugin.storage.protocols import Storage
from dserver_signed_url_plugin.uris import BaseURI


def azure_storage(base_uri: BaseURI, settings: Settings) -> Storage:
    """Return the storage of an account.

    :raises StorageUnavailable: if it has no usable settings.
    """
    azure = AzureConnection(base_uri.location, settings)
    uploads, removal = AzureUploads(azure), AzureRemoval(azure)
    return Storage(
        reads=AzureReads(azure),
        uploads=uploads,
        create_only_items=uploads,
        parts=AzureParts(azure),
        discards=removal,
        inventory=removal,
    )
