"""Azure Blob Storage: SAS, listing and freezing on dtool-azure's layout."""

from dserver_signed_url_plugin.errors import SigningUnsupported

try:
    from dserver_signed_url_plugin.storage.azure.storage import azure_storage
except ImportError as error:
    if str(error.name).partition(".")[0] not in ("azure", "dtool_azure"):
        raise
    raise SigningUnsupported(
        "Azure storage",
        "this server's administrator must run pip install 'dserver-signed-url-plugin[azure]'",
    ) from error

__all__ = ["azure_storage"]
