"""The settings of a store: dtool's variables, and the rewriting of its public host."""

from __future__ import annotations

from urllib.parse import urlsplit

import dtoolcore.utils

from dserver_signed_url_plugin.addresses import has_host, web_address
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.environment import wrong_with
from dserver_signed_url_plugin.errors import StorageMisconfigured


def dtool_setting(settings: Settings, name: str) -> str | None:
    """Return a variable from Flask's config, the environment or dtool's file, or None.

    :raises StorageUnavailable: if it cannot be read, or is invalid.
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
    # Validated again, because dtool's file may have changed.
    reason = wrong_with(name, value) if value else None
    if reason is not None:
        raise StorageMisconfigured(f"The server's setting {name}", reason.rstrip("."))
    return value or None


def rewritten(settings: Settings, endpoint: str) -> str | None:
    """Return the public scheme and host of an endpoint, or None if they are the same.

    :param endpoint: a URL in normal form, as is the result.
    """
    rewrite = settings.host_rewrite
    if rewrite is None:
        return None
    if not has_host(endpoint, rewrite.internal.rpartition("//")[2]):
        return None
    external = rewrite.external
    scheme = urlsplit(endpoint).scheme
    return web_address(external if "://" in external else f"{scheme}://{external}")
