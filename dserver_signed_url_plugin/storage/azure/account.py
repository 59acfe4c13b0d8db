"""One storage account as the server's settings have it: its key, and its addresses.

Knows the variables; makes no request. What cannot be used is named, and a key never shown.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dserver_signed_url_plugin.config import (
    BLOB_ENDPOINT,
    PUBLIC_BLOB_ENDPOINT,
    Settings,
    blob_endpoint,
    is_blob_endpoint,
)
from dserver_signed_url_plugin.errors import StorageUnavailable
from dserver_signed_url_plugin.storage.configured import dtool_setting, rewritten


@dataclass(frozen=True)
class ConfiguredAccount:
    """``key`` is Base64; ``inside`` and ``outside`` are its URLs, for the server and for people."""

    name: str
    key: str = field(repr=False)
    inside: str
    outside: str

    @classmethod
    def find(cls, name: str, settings: Settings) -> ConfiguredAccount:
        """Look an account up.

        :raises StorageUnavailable: where there is no usable key or endpoint.
        """
        inside = blob_endpoint(name, _endpoint(BLOB_ENDPOINT, name, settings))
        public = _endpoint(PUBLIC_BLOB_ENDPOINT, name, settings)
        if public is None:
            address = rewritten(settings, inside)
            outside = inside if address is None else f"{address}{urlsplit(inside).path}"
        else:
            outside = blob_endpoint(name, public)
        return cls(name, _key(name, settings), inside, outside)


def _key(account: str, settings: Settings) -> str:
    name = f"DTOOL_AZURE_ACCOUNT_KEY_{account}"
    key = dtool_setting(settings, name)
    if key is None:
        raise StorageUnavailable(
            f"The server has no key for {account}; its administrator must set {name}."
        )
    try:
        base64.b64decode(key.strip(), validate=True)
    except ValueError as error:
        raise StorageUnavailable(
            f"The server's setting {name} is not Base64, as account keys are."
        ) from error
    return key.strip()


def _endpoint(variable: str, account: str, settings: Settings) -> str | None:
    value = dtool_setting(settings, f"{variable}{account}")
    if value is not None and not is_blob_endpoint(value):
        raise StorageUnavailable(f"The server's setting {variable}{account} is not a URL.")
    return value
