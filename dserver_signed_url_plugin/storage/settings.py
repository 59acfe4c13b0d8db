"""What the server's settings say of a store: dtool's variables, and the address for people.

Knows where dtool keeps its settings; speaks to no store.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import dtoolcore.utils

from dserver_signed_url_plugin.addresses import has_host, web_address
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.environment import wrong_with
from dserver_signed_url_plugin.errors import StorageMisconfigured


def dtool_setting(settings: Settings, name: str) -> str | None:
    """Return one of dtool's settings: Flask's config, environment, dtool's file; blanks trimmed.

    :raises StorageUnavailable: if it cannot be read, or used.
    """
    value = settings.dtool_setting(name)
    if value is None:
        try:
            value = dtoolcore.utils.get_config_value(name, settings.config_path)
        except ValueError as error:
            raise StorageMisconfigured("The server's dtool configuration", "is not JSON") from error
    if not isinstance(value, str | None):
        raise StorageMisconfigured(f"The server's setting {name}", "is not a text")
    value = (value or "").strip()
    # dtool's file may have changed since it was looked at.
    reason = wrong_with(name, value) if value else None
    if reason is not None:
        raise StorageMisconfigured(f"The server's setting {name}", reason.rstrip("."))
    return value or None


def rewritten(settings: Settings, endpoint: str) -> str | None:
    """Return scheme and host that people use for an endpoint, if its host is to be rewritten.

    :param endpoint: in the URL Standard's spelling, as what is returned.
    """
    rewrite = settings.host_rewrite
    if rewrite is None:
        return None
    if not has_host(endpoint, rewrite.internal.rpartition("//")[2]):
        return None
    external = rewrite.external
    scheme = urlsplit(endpoint).scheme
    return web_address(external if "://" in external else f"{scheme}://{external}")
