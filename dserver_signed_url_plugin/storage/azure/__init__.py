"""Azure Blob Storage: SAS, listing and freezing on dtool-azure's layout."""

from dserver_signed_url_plugin.storage.azure.storage import azure_storage

__all__ = ["azure_storage"]
