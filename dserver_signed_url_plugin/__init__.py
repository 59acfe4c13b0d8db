"""dserver extension: time-limited signed URLs to read and deposit dtool datasets.

The shop window; nothing runs here.
"""

from dserver_signed_url_plugin.extension import SignedURLExtension

__all__ = ["SignedURLExtension"]
