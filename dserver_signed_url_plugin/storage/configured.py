"""What the server's settings say of a store: dtool's variables, and the address for people.

Knows where dtool keeps its settings; speaks to no store.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import dtoolcore.utils

from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.errors import StorageUnavailable


def dtool_setting(settings: Settings, name: str) -> str | None:
    """Return one of dtool's settings: Flask's config, environment, dtool's file.

    :raises StorageUnavailable: if it cannot be read.
    """
    value = settings.dtool_setting(name)
    if value is None:
        try:
            value = dtoolcore.utils.get_config_value(name, settings.config_path)
        except ValueError as error:
            raise StorageUnavailable("The server's dtool configuration is not JSON.") from error
    if not isinstance(value, str | None):
        raise StorageUnavailable(f"The server's setting {name} is not a text.")
    return value or None


def rewritten(settings: Settings, endpoint: str) -> str | None:
    """Return scheme and host that people use for an endpoint, if its host is to be rewritten."""
    rewrite = settings.host_rewrite
    if rewrite is None:
        return None
    here = urlsplit(endpoint)
    wanted = urlsplit(f"//{rewrite.internal.rpartition('//')[2]}")
    if wanted.netloc not in (here.netloc, here.hostname):
        return None
    external = rewrite.external
    return external if "://" in external else f"{here.scheme}://{external}"
