"""dserver extension: time-limited signed URLs to read and deposit dtool datasets."""

from dserver_signed_url_plugin.extension import SignedURLExtension

__all__ = ["SignedURLExtension", "__version__"]

# Read by pyproject.toml, and by dserver for /config/versions.
__version__ = "0.2.0"
