"""The settings of an Azure account: its key, and its URLs."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dserver_signed_url_plugin.addresses import blob_endpoint
from dserver_signed_url_plugin.config import Settings
from dserver_signed_url_plugin.environment import ACCOUNT_KEY, BLOB_ENDPOINT, PUBLIC_BLOB_ENDPOINT
from dserver_signed_url_plugin.errors import StorageMisconfigured
from dserver_signed_url_plugin.storage.settings import dtool_setting, rewritten


@dataclass(frozen=True)
class ConfiguredAccount:
    """``key`` is Base64; ``inside`` and ``outside`` are its URLs for the server and for clients."""

    name: str
    key: str = field(repr=False)
    inside: str
    outside: str

    @classmethod
    def find(cls, name: str, settings: Settings) -> ConfiguredAccount:
        """Return the settings of an account.

        :raises StorageUnavailable: if its key is missing, or its endpoint is invalid.
        """
        inside = _endpoint(name, dtool_setting(settings, f"{BLOB_ENDPOINT}{name}"))
        public = dtool_setting(settings, f"{PUBLIC_BLOB_ENDPOINT}{name}")
        if public is None:
            address = rewritten(settings, inside)
            outside = inside if address is None else f"{address}{urlsplit(inside).path}"
        else:
            outside = _endpoint(name, public)
        return cls(name, _key(name, settings), inside, outside)


def _key(account: str, settings: Settings) -> str:
    name = f"{ACCOUNT_KEY}{account}"
    key = dtool_setting(settings, name)
    if key is None:
        raise StorageMisconfigured(
            f"The server's settings for {account}", f"lack its key: set {name}"
        )
    return key


def _endpoint(account: str, setting: str | None) -> str:
    endpoint = blob_endpoint(account, setting)
    if endpoint is None:
        raise StorageMisconfigured(f"{account}", "is not the name of an Azure account")
    return endpoint
