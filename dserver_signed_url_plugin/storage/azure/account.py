"""The settings of an Azure account: its key, or that Entra ID is used, and its URLs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dserver_signed_url_plugin.addresses import blob_endpoint
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.environment import (
    ACCOUNT_KEY,
    BLOB_ENDPOINT,
    ENTRA_ID,
    ON,
    PUBLIC_BLOB_ENDPOINT,
)
from dserver_signed_url_plugin.errors import StorageMisconfigured
from dserver_signed_url_plugin.storage.settings import dtool_setting, rewritten


@dataclass(frozen=True)
class ConfiguredAccount:
    """``inside`` and ``outside`` are its URLs for the server and for clients.

    ``key`` is decoded; None if Entra ID is used.
    """

    name: str
    key: bytes | None = field(repr=False)
    inside: str
    outside: str

    @classmethod
    def find(cls, name: str, settings: Settings) -> ConfiguredAccount:
        """Return the settings of an account.

        :raises StorageUnavailable: if its key is missing, or its endpoint is invalid: a token of
            Entra ID is sent by https only.
        """
        inside = _endpoint(name, dtool_setting(settings, f"{BLOB_ENDPOINT}{name}"))
        public = dtool_setting(settings, f"{PUBLIC_BLOB_ENDPOINT}{name}")
        if public is None:
            address = rewritten(settings, inside)
            outside = inside if address is None else f"{address}{urlsplit(inside).path}"
        else:
            outside = _endpoint(name, public)
        key = _key(name, settings)
        if key is None and not inside.startswith("https:"):
            raise StorageMisconfigured(
                f"The server's endpoint for {name}", "has to be https, because Entra ID is used"
            )
        return cls(name, key, inside, outside)


def _key(account: str, settings: Settings) -> bytes | None:
    by_entra_id, by_key = f"{ENTRA_ID}{account}", f"{ACCOUNT_KEY}{account}"
    if dtool_setting(settings, by_entra_id) == ON:
        return None
    key = dtool_setting(settings, by_key)
    if key is None:
        raise StorageMisconfigured(
            f"The server's settings for {account}",
            f"lack its key: set {by_entra_id} to {ON}, or set {by_key}",
        )
    return base64.b64decode(key)


def _endpoint(account: str, setting: str | None) -> str:
    endpoint = blob_endpoint(account, setting)
    if endpoint is None:
        raise StorageMisconfigured(account, "is not the name of an Azure account")
    return endpoint
