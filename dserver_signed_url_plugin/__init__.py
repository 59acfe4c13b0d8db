"""dserver extension: time-limited signed URLs to read and deposit dtool datasets.

The shop window; nothing runs here.
"""

from dserver_signed_url_plugin.extension import SignedURLExtension

__all__ = ["SignedURLExtension", "__version__"]

# What dserver's /config/versions shows, and pyproject.toml reads.
__version__ = "0.1.0"
