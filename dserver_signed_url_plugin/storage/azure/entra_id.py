"""Tokens of Entra ID, by which requests are authorized without an account key.

Where they come from is left to azure-identity: a managed identity, a workload identity, the
variables of an application (``AZURE_CLIENT_ID``, …), or ``az login``.

Source: Microsoft, "DefaultAzureCredential overview", and "Authorize with Microsoft Entra ID",
https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity import DefaultAzureCredential

from dserver_signed_url_plugin.errors import StorageAway, StorageMisconfigured
from dserver_signed_url_plugin.storage.error_translation import log_failure
from dserver_signed_url_plugin.storage.waiting import in_thread, locked

# Of storage in every cloud.
_SCOPE = "https://storage.azure.com/.default"
_RENEWED_BEFORE = 300  # seconds


class EntraTokens:
    """Authorizes requests to an account; safe to share between threads."""

    def __init__(self, account: str) -> None:
        self._account, self._credential = account, DefaultAzureCredential()
        self._lock = threading.Lock()
        self._kept: AccessToken | None = None

    def authorization(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """Return the header Authorization, which is the same for every request.

        :raises StorageUnavailable: if there is no token.
        """
        with locked(self._lock):
            if self._kept is None or self._kept.expires_on - time.time() < _RENEWED_BEFORE:
                self._kept = in_thread(self._requested)
            return f"Bearer {self._kept.token}"

    def _requested(self) -> AccessToken:
        try:
            return self._credential.get_token(_SCOPE)
        except AzureError as error:
            log_failure("Azure", "getting a token", self._account, type(error).__name__)
            if isinstance(error, ClientAuthenticationError):
                raise StorageMisconfigured(
                    f"Entra ID gives the server no token for {self._account}:",
                    "it has no identity there, or a wrong one",
                ) from error
            raise StorageAway("Entra ID", "does not answer") from error
